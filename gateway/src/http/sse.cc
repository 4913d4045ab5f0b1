// SPDX-License-Identifier: MIT
#include "http/sse.h"

namespace millrace::gateway::http {
namespace {

constexpr std::string_view ping_comment = ": ping\n\n";

void append_field(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) {
    return;
  }
  out += name;
  for (const char c : value) {
    if (c != '\r' && c != '\n' && c != '\0') {
      out += c;
    }
  }
  out += '\n';
}

}  // namespace

std::string format_event(std::string_view id, std::string_view name, std::string_view data) {
  std::string out;
  out.reserve(id.size() + name.size() + data.size() + 32);
  append_field(out, "id: ", id);
  append_field(out, "event: ", name);
  for (bool more = true; more;) {
    const auto end = data.find_first_of("\r\n");
    out += "data: ";
    out += data.substr(0, end);
    out += '\n';
    more = end != std::string_view::npos;
    if (more) {
      data.remove_prefix(end + (data.substr(end).starts_with("\r\n") ? 2 : 1));
    }
  }
  out += '\n';
  return out;
}

event_stream event_stream::open(reply answer, header_list extra) {
  extra.add("Content-Type", "text/event-stream");
  extra.add("Cache-Control", "no-cache");
  extra.add("X-Accel-Buffering", "no");
  event_stream made;
  made.out_ = answer.open(200, std::move(extra), ping_comment);
  return made;
}

write_status event_stream::event(std::string_view id, std::string_view name,
                                 std::string_view data) {
  return out_.write(format_event(id, name, data));
}

bool event_parser::feed(std::string_view bytes,
                        const std::function<bool(const received_event&)>& sink) {
  for (const char c : bytes) {
    const bool second_half = c == '\n' && after_cr_;
    after_cr_ = c == '\r';
    if (second_half) {
      continue;
    }
    if (c == '\n' || c == '\r') {
      const bool more = line(line_, sink);
      line_.clear();
      if (!more) {
        return false;
      }
    } else if (line_.size() < event_bytes_max) {
      line_ += c;
    }
  }
  return true;
}

bool event_parser::line(std::string_view text,
                        const std::function<bool(const received_event&)>& sink) {
  if (text.empty()) {
    bool more = true;
    if (has_data_) {
      if (event_.name.empty()) {
        event_.name = "message";
      }
      more = sink(event_);
    }
    has_data_ = false;
    event_.name.clear();
    event_.data.clear();
    return more;
  }
  const auto colon = std::min(text.find(':'), text.size());
  const auto name = text.substr(0, colon);
  auto value = text.substr(std::min(colon + 1, text.size()));
  if (value.starts_with(' ')) {
    value.remove_prefix(1);
  }
  if (name == "data") {
    if (event_.data.size() + value.size() <= event_bytes_max) {
      event_.data += has_data_ ? "\n" : "";
      event_.data += value;
    }
    has_data_ = true;
  } else if (name == "event") {
    event_.name = value;
  } else if (name == "id") {
    event_.id = value;
  }
  return true;  // A comment (empty name), `retry`, and what later versions add are passed over.
}

}  // namespace millrace::gateway::http
