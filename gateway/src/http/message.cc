// SPDX-License-Identifier: MIT
#include "http/message.h"

#include "http/authority.h"

#include <algorithm>
#include <array>

namespace millrace::gateway::http {
namespace {

using runtime::errc;
using runtime::error;
using runtime::result;

constexpr std::array<std::pair<method, std::string_view>, 7> methods{{
    {method::get, "GET"},
    {method::head, "HEAD"},
    {method::post, "POST"},
    {method::put, "PUT"},
    {method::patch, "PATCH"},
    {method::del, "DELETE"},
    {method::options, "OPTIONS"},
}};

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

constexpr int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

error bad_target(std::string_view why, std::string_view target) {
  std::string text{why};
  text += " in the request target '";
  text += target.substr(0, 200);
  text += '\'';
  return {errc::invalid_argument, std::move(text)};
}

std::uint32_t narrow(std::size_t n) noexcept {
  return static_cast<std::uint32_t>(n);
}

}  // namespace

std::string_view to_string(method value) noexcept {
  return methods[static_cast<std::size_t>(value)].second;
}

std::optional<method> method_from_string(std::string_view name) noexcept {
  for (const auto& [value, text] : methods) {
    if (text == name) {
      return value;
    }
  }
  return std::nullopt;
}

bool same_name(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

header_list::header_list(std::initializer_list<field> fields) {
  for (const auto& each : fields) {
    add(each.name, each.value);
  }
}

void header_list::add(std::string_view name, std::string_view value) {
  spans_.push_back({narrow(text_.size()), narrow(name.size()), narrow(value.size())});
  text_ += name;
  text_ += value;
}

void header_list::clear() noexcept {
  text_.clear();
  spans_.clear();
}

header_list::field header_list::at(std::size_t index) const noexcept {
  const auto& where = spans_[index];
  const std::string_view all{text_};
  return {all.substr(where.begin, where.name_size),
          all.substr(where.begin + where.name_size, where.value_size)};
}

std::optional<std::string_view> header_list::find(std::string_view name) const noexcept {
  for (std::size_t i = 0; i < spans_.size(); ++i) {
    if (spans_[i].name_size == name.size()) {
      const auto each = at(i);
      if (same_name(each.name, name)) {
        return each.value;
      }
    }
  }
  return std::nullopt;
}

std::size_t header_list::count(std::string_view name) const noexcept {
  std::size_t n = 0;
  for (std::size_t i = 0; i < spans_.size(); ++i) {
    n += same_name(at(i).name, name) ? 1 : 0;
  }
  return n;
}

void request::clear() noexcept {
  headers.clear();
  body.clear();
  by.reset();
  stranger.reset();
  trace = {};
  route_ = {};
  target_.clear();
  authority_.clear();
  https_ = false;
  decoded_.clear();
  segments_.clear();
  query_.clear();
  params_.clear();
}

std::shared_ptr<request> request::detach() {
  auto taken = std::move(body);
  auto strange = std::move(stranger);
  auto made = std::make_shared<request>(*this);
  made->body = std::move(taken);
  made->stranger = std::move(strange);
  return made;
}

std::string_view request::path() const noexcept {
  const std::string_view all{target_};
  return all.substr(0, all.find('?'));
}

std::optional<std::string_view> request::authority() const noexcept {
  return authority_.empty() ? headers.find("Host") : authority_;
}

std::string_view request::view(span where) const noexcept {
  return std::string_view{decoded_}.substr(where.begin, where.size);
}

std::string_view request::segment(std::size_t index) const noexcept {
  return view(segments_[index]);
}

std::optional<std::string_view> request::query(std::string_view name) const noexcept {
  for (const auto& [key, value] : query_) {
    if (view(key) == name) {
      return view(value);
    }
  }
  return std::nullopt;
}

std::pair<std::string_view, std::string_view> request::query_at(std::size_t index) const noexcept {
  return {view(query_[index].first), view(query_[index].second)};
}

std::string_view request::param(std::string_view name) const noexcept {
  for (const auto& each : params_) {
    if (each.name == name && each.segment < segments_.size()) {
      return segment(each.segment);
    }
  }
  return {};
}

std::string request::rest(std::string_view name) const {
  std::string joined;
  for (const auto& each : params_) {
    if (each.name != name) {
      continue;
    }
    for (std::size_t i = each.segment; i < segments_.size(); ++i) {
      joined += i == each.segment ? "" : "/";
      joined += segment(i);
    }
  }
  return joined;
}

// Of the absolute form (RFC 9112, 3.2.2), which a server must understand, leaves the origin form.
result<void> request::take_authority(std::string_view& target) {
  const auto colon = target.find("://");
  const auto scheme = target.substr(0, std::min(colon, target.size()));
  https_ = same_name(scheme, "https");
  if (colon == std::string_view::npos || (!https_ && !same_name(scheme, "http"))) {
    return {};
  }
  const auto begin = colon + 3;
  const auto end = std::min(target.find_first_of("/?#", begin), target.size());
  authority_ = target.substr(begin, end - begin);
  if (!is_authority(authority_) || host_of(authority_).empty()) {
    return bad_target("no host, or more than a host and a port,", target);
  }
  const auto kept = target.substr(end);
  target_ = kept.starts_with('/') ? "" : "/";
  target_ += kept;
  target = target_;
  return {};
}

result<void> request::set_target(std::string_view target) {
  target_ = target;
  authority_.clear();
  https_ = false;
  decoded_.clear();
  segments_.clear();
  query_.clear();
  params_.clear();
  if (target == "*") {
    return {};
  }
  if (auto taken = take_authority(target); !taken) {
    return taken;
  }
  if (!target.starts_with('/')) {
    return bad_target("no leading '/'", target);
  }
  if (target.find('#') != std::string_view::npos) {
    return bad_target("a fragment", target);
  }
  const auto mark = target.find('?');
  if (auto done = decode_path(target.substr(0, mark)); !done) {
    return done;
  }
  if (mark != std::string_view::npos) {
    return decode_query(target.substr(mark + 1));
  }
  return {};
}

result<void> request::decode_path(std::string_view path) {
  std::size_t begin = 1;
  while (begin < path.size()) {
    const auto end = std::min(path.find('/', begin), path.size());
    const auto where = decode(path.substr(begin, end - begin), false);
    if (!where) {
      return where.error();
    }
    if (const auto name = view(*where); name == "." || name == "..") {
      return bad_target("a '.' or '..' segment", path);
    }
    segments_.push_back(*where);
    begin = end + 1;
  }
  return {};
}

result<void> request::decode_query(std::string_view query) {
  std::size_t begin = 0;
  while (begin < query.size()) {
    const auto end = std::min(query.find('&', begin), query.size());
    const auto pair = query.substr(begin, end - begin);
    begin = end + 1;
    if (pair.empty()) {
      continue;
    }
    const auto equals = std::min(pair.find('='), pair.size());
    const auto key = decode(pair.substr(0, equals), true);
    if (!key) {
      return key.error();
    }
    const auto value = decode(equals < pair.size() ? pair.substr(equals + 1) : "", true);
    if (!value) {
      return value.error();
    }
    query_.emplace_back(*key, *value);
  }
  return {};
}

result<request::span> request::decode(std::string_view text, bool plus_is_space) {
  const auto begin = decoded_.size();
  if (text.find_first_of("%+") == std::string_view::npos) {
    decoded_ += text;
    return span{narrow(begin), narrow(text.size())};
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return bad_target("a '%' without two hexadecimal digits", text);
      }
      c = static_cast<char>(high * 16 + low);
      if (c == '\0') {
        return bad_target("a NUL", text);
      }
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    decoded_ += c;
  }
  return span{narrow(begin), narrow(decoded_.size() - begin)};
}

response json(int status, std::string text) {
  response made;
  made.status = status;
  made.content_type = "application/json";
  made.body = std::move(text);
  return made;
}

response json(int status, std::shared_ptr<const std::string> text) {
  response made;
  made.status = status;
  made.content_type = "application/json";
  made.shared_body = std::move(text);
  return made;
}

response text(int status, std::string text) {
  response made;
  made.status = status;
  made.content_type = "text/plain; charset=utf-8";
  made.body = std::move(text);
  return made;
}

response empty(int status) {
  response made;
  made.status = status;
  return made;
}

std::string_view reason_of(int status) noexcept {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    case 508:
      return "Loop Detected";
    default:
      return "Status";
  }
}

}  // namespace millrace::gateway::http
