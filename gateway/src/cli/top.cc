// SPDX-License-Identifier: MIT
#include "cli/top.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/terminal_text.h"
#include "millrace/runtime/histogram.h"

namespace millrace::gateway::cli {

namespace {

double number(const ordered_json& object, const char* key) {
  return object.value(key, 0.0);
}

// What both have, or what is new of it when the server was not restarted between them.
class difference {
public:
  difference(const ordered_json& before, const ordered_json& after, double seconds)
      : before_(before), after_(after), seconds_(seconds) {}

  [[nodiscard]] double rate(const char* key) const {
    return std::max(number(after_, key) - number(before_, key), 0.0) / seconds_;
  }
  // Null when nothing happened.
  [[nodiscard]] ordered_json quantile_ms(const char* key, double part) const {
    const auto times = histogram_of(key);
    if (times.count() == 0) {
      return {};
    }
    return std::chrono::duration<double, std::milli>(times.quantile(part)).count();
  }
  // The part of the time that it took.
  [[nodiscard]] double share(const char* key) const {
    const auto took = number(after_.value(key, ordered_json::object()), "sum_ms") -
                      number(before_.value(key, ordered_json::object()), "sum_ms");
    return std::max(took, 0.0) / 1'000 / seconds_;
  }

private:
  [[nodiscard]] runtime::histogram histogram_of(const char* key) const {
    runtime::histogram times;
    const auto counts = [&](const ordered_json& of) {
      return of.value(key, ordered_json::object()).value("counts", std::vector<std::uint64_t>{});
    };
    const auto then = counts(before_);
    const auto now = counts(after_);
    for (std::size_t at = 0; at < std::min(now.size(), times.counts.size()); ++at) {
      const auto old = at < then.size() ? then[at] : 0;
      times.counts[at] = now[at] > old ? now[at] - old : 0;
    }
    return times;
  }

  const ordered_json& before_;
  const ordered_json& after_;
  double seconds_;
};

ordered_json type_of(const ordered_json& before, const ordered_json& after, double seconds) {
  const difference both{before, after, seconds};
  return {{"id", after.value("id", "")},
          {"activations", after.value("activations", 0)},
          {"calls_per_second", both.rate("calls_total")},
          {"errors_per_second", both.rate("errors_total")},
          {"p50_ms", both.quantile_ms("latency", 0.5)},
          {"p99_ms", both.quantile_ms("latency", 0.99)},
          {"queued", after.value("queued", 0)},
          {"queued_max", after.value("queued_max", 0)},
          {"turn_p99_ms", both.quantile_ms("turns", 0.99)},
          {"threads", both.share("turns")}};
}

ordered_json named(const ordered_json& types, const std::string& name) {
  for (const auto& each : types) {
    if (each.value("id", "") == name) {
      return each;
    }
  }
  return ordered_json::object();
}

std::string time_text(const ordered_json& milliseconds) {
  if (!milliseconds.is_number()) {
    return "-";
  }
  const auto length = milliseconds.get<double>();
  return length < 1        ? fmt::format("{:.0f}us", length * 1'000)
         : length < 10     ? fmt::format("{:.1f}ms", length)
         : length < 10'000 ? fmt::format("{:.0f}ms", length)
                           : fmt::format("{:.0f}s", length / 1'000);
}

std::string uptime_text(double milliseconds) {
  const auto seconds = static_cast<std::int64_t>(milliseconds / 1'000);
  return seconds < 60      ? fmt::format("{}s", seconds)
         : seconds < 3'600 ? fmt::format("{}m{:02}s", seconds / 60, seconds % 60)
                           : fmt::format("{}h{:02}m", seconds / 3'600, seconds / 60 % 60);
}

}  // namespace

runtime::result<ordered_json> top_of(const ordered_json& before, const ordered_json& after) {
  try {
    const auto none = ordered_json::object();
    const auto restarted = number(after, "uptime_ms") < number(before, "uptime_ms");
    const auto& then = restarted ? none : before;
    const auto seconds =
        std::max(number(after, "uptime_ms") - number(then, "uptime_ms"), 1.0) / 1'000;
    const auto storage_then = then.value("storage", none);
    const auto& storage = after.at("storage");
    const difference rows{storage_then, storage, seconds};
    auto types = ordered_json::array();
    for (const auto& each : after.at("types")) {
      types.push_back(
          type_of(named(then.value("types", ordered_json::array()), each.at("id")), each, seconds));
    }
    std::stable_sort(types.begin(), types.end(), [](const auto& a, const auto& b) {
      return number(a, "calls_per_second") > number(b, "calls_per_second");
    });
    return ordered_json{{"uptime_ms", after.at("uptime_ms")},
                        {"interval_ms", seconds * 1'000},
                        {"activations", after.at("activations")},
                        {"memory_bytes", after.at("memory_bytes")},
                        {"threads", after.at("threads")},
                        {"threads_busy", after.at("threads_busy")},
                        {"offload_queued", after.at("offload").at("queued")},
                        {"sends_pending", after.at("sends_pending")},
                        {"commits_per_second", rows.rate("commits_total")},
                        {"commit_p99_ms", rows.quantile_ms("commit", 0.99)},
                        {"flush_p99_ms", rows.quantile_ms("flush", 0.99)},
                        {"journal_backlog_bytes", storage.at("journal_backlog_bytes")},
                        {"checkpoint_lag_batches", storage.at("checkpoint_lag_batches")},
                        {"checkpoint_lag_bytes", storage.at("checkpoint_lag_bytes")},
                        {"used_permille", storage.at("used_permille")},
                        {"types", std::move(types)}};
  } catch (const ordered_json::exception&) {
    return runtime::error{runtime::errc::unavailable,
                          "the server's figures are not what this program understands; is it of "
                          "the same version?"};
  }
}

std::string top_text(const ordered_json& top) {
  const auto memory = number(top, "memory_bytes");
  auto text = fmt::format(
      "silo     up {}  activations {}{}  threads {}/{} busy  offload queue {}  sends pending {}\n"
      "storage  commits {:.0f}/s  p99 {} (flush {})  backlog {}  checkpoint lag {} batches, {}  "
      "used {:.1f}%\n\n",
      uptime_text(number(top, "uptime_ms")), number(top, "activations"),
      memory > 0 ? " in " + bytes_text(memory) : "", number(top, "threads_busy"),
      number(top, "threads"), number(top, "offload_queued"), number(top, "sends_pending"),
      number(top, "commits_per_second"), time_text(top.at("commit_p99_ms")),
      time_text(top.at("flush_p99_ms")), bytes_text(number(top, "journal_backlog_bytes")),
      number(top, "checkpoint_lag_batches"), bytes_text(number(top, "checkpoint_lag_bytes")),
      number(top, "used_permille") / 10);
  constexpr const char* row = "{:<16}{:>8}{:>10}{:>9}{:>8}{:>8}{:>7}{:>6}{:>10}{:>9}\n";
  text += fmt::format(row, "TYPE", "ACTIVE", "CALLS/S", "ERR/S", "P50", "P99", "QUEUE", "MAX",
                      "TURN P99", "THREADS");
  for (const auto& each : top.at("types")) {
    text += fmt::format(
        row, each.at("id").get<std::string>(), number(each, "activations"),
        fmt::format("{:.1f}", number(each, "calls_per_second")),
        fmt::format("{:.1f}", number(each, "errors_per_second")), time_text(each.at("p50_ms")),
        time_text(each.at("p99_ms")), number(each, "queued"), number(each, "queued_max"),
        time_text(each.at("turn_p99_ms")), fmt::format("{:.2f}", number(each, "threads")));
  }
  return text;
}

}  // namespace millrace::gateway::cli
