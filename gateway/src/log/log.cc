// SPDX-License-Identifier: MIT
#include "log/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <nlohmann/json.hpp>

#include "cli/terminal_text.h"
#include "log/line_queue.h"
#include "millrace/runtime/last_words.h"

namespace millrace::gateway {

namespace {

namespace level = spdlog::level;

constexpr std::array<std::pair<std::string_view, level::level_enum>, 4> levels{
    {{"debug", level::debug}, {"info", level::info}, {"warn", level::warn}, {"error", level::err}}};

std::string_view word_of(level::level_enum wanted) {
  for (const auto& [word, each] : levels) {
    if (each == wanted) {
      return word;
    }
  }
  return "error";
}

std::string utc(spdlog::log_clock::time_point time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(whole),
                     std::chrono::floor<std::chrono::milliseconds>(time - whole).count());
}

std::string_view view(spdlog::string_view_t text) {
  return {text.data(), text.size()};
}

// The logger of front.cc, whose lines are no question of the level either.
constexpr std::string_view audit_logger = "audit";

constexpr std::chrono::milliseconds flush_within{100};
// At a sudden end nobody waits for this process but for its last words.
constexpr std::chrono::milliseconds last_flush_within{1000};

// Of the process, for its sudden end.
constinit std::atomic<line_queue*> last_queue{nullptr};

void flush_last_queue() noexcept {
  if (auto* const queue = last_queue.load()) {
    queue->flush_at_once(last_flush_within);
  }
}

class line_sink final : public spdlog::sinks::base_sink<std::mutex> {
public:
  line_sink(log_format format, std::function<void(std::string, line_kind)> write)
      : format_(format), write_(std::move(write)) {}

protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const auto is_kept = message.level >= level::warn || view(message.logger_name) == audit_logger;
    write_(log_line(format_, message), is_kept ? line_kind::kept : line_kind::ordinary);
  }
  void flush_() override {}

private:
  const log_format format_;
  const std::function<void(std::string, line_kind)> write_;
};

// What the queue has dropped, as a line like the others.
std::string dropped_line(log_format format, std::size_t count) {
  const auto text =
      fmt::format("lines of the log were dropped, since nobody read them count={}", count);
  return log_line(format, {"gateway.log", level::warn, text});
}

// A line is written by one call, so that those of several threads and processes stay whole.
std::shared_ptr<line_queue> queued_error(log_format format) {
  return std::make_shared<line_queue>(
      [](std::string_view line) { write_whole(STDERR_FILENO, line); },
      [format](std::size_t count) { return dropped_line(format, count); });
}

}  // namespace

std::optional<log_format> log_format_of(std::string_view word) {
  return word == "text"   ? std::optional{log_format::text}
         : word == "json" ? std::optional{log_format::json}
                          : std::nullopt;
}

std::optional<level::level_enum> log_level_of(std::string_view word) {
  for (const auto& [known, each] : levels) {
    if (known == word) {
      return each;
    }
  }
  return std::nullopt;
}

std::string log_line(log_format format, const spdlog::details::log_msg& message) {
  auto text = std::string{view(message.payload)};
  if (format == log_format::json) {
    // What it quotes of others may be no UTF-8.
    return nlohmann::ordered_json{{"time", utc(message.time)},
                                  {"level", word_of(message.level)},
                                  {"logger", view(message.logger_name)},
                                  {"message", text}}
               .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
           "\n";
  }
  text = cli::printable(text);  // keys and words of others, on a terminal
  // What an operator has asked for needs neither a time nor a source; what happens does.
  return message.level == level::info && view(message.logger_name).starts_with("gateway")
             ? fmt::format("millrace: {}\n", text)
             : fmt::format("millrace: {} {}: {}: {}\n", utc(message.time),
                           message.level == level::warn ? "warning" : word_of(message.level),
                           view(message.logger_name), text);
}

logs::logs(log_format format, level::level_enum level, std::function<void(std::string_view)> sink)
    : level_(level), queue_(sink ? nullptr : queued_error(format)) {
  sink_ = std::make_shared<line_sink>(
      format, [queue = queue_, to = std::move(sink)](std::string line, line_kind kind) {
        if (queue != nullptr) {
          queue->add(std::move(line), kind);
        } else {
          to(line);
        }
      });
  if (queue_ != nullptr) {
    last_queue = queue_.get();
    runtime::before_sudden_end(flush_last_queue);
  }
}

logs::~logs() {
  auto* own = queue_.get();
  last_queue.compare_exchange_strong(own, nullptr);
}

void logs::flush() {
  if (queue_ != nullptr) {
    queue_->flush(flush_within);
  }
}

std::shared_ptr<spdlog::logger> logs::of(const std::string& module) {
  const std::lock_guard lock{mutex_};
  auto& made = loggers_[module];
  if (!made) {
    made = std::make_shared<spdlog::logger>(module, sink_);
    made->set_level(level_);
  }
  return made;
}

std::function<void(std::string_view)> logs::log_of(const std::string& module) {
  return at(level::info, module);
}

std::function<void(std::string_view)> logs::warn_of(const std::string& module) {
  return at(level::warn, module);
}

std::function<void(std::string_view)> logs::at(level::level_enum how, const std::string& module) {
  return [how, logger = of(module)](std::string_view line) {
    logger->log(how, spdlog::string_view_t{line.data(), line.size()});
  };
}

}  // namespace millrace::gateway
