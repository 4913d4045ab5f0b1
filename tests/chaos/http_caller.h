// SPDX-License-Identifier: MIT
// HTTP caller: asks a gateway, and knows whether it may have been heard when no answer comes.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "chaos/history.h"

namespace chaos {

enum class outcome : std::uint8_t {
  ok,
  failed,   ///< It had no effect: it was never sent, or the answer says so.
  unknown,  ///< It may have had one, or may have later.
};

struct answer {
  outcome is = outcome::unknown;
  json body;         ///< Of `ok`; null for none.
  std::string text;  ///< Otherwise what was said.
};

/// Keeps a connection to each server that it has asked.
///
/// Threading: one thread at a time; blocks it, for `limit` at most.
class http_caller {
public:
  http_caller() = default;
  http_caller(const http_caller&) = delete;
  http_caller& operator=(const http_caller&) = delete;
  ~http_caller();

  /// `url`: `http://ADDRESS:PORT`. `idempotency_key`: empty for none.
  answer ask(const std::string& url, const std::string& method, const std::string& target,
             const std::string& body, std::chrono::milliseconds limit,
             const std::string& idempotency_key = {});

private:
  struct reply {
    int status = 0;
    std::string body;
    bool closes = false;
  };
  int connected(const std::string& url, std::chrono::steady_clock::time_point end);
  static bool write(int to, const std::string& text, std::chrono::steady_clock::time_point end);
  static bool read(int from, reply& into, std::chrono::steady_clock::time_point end);
  void drop(const std::string& url);

  std::map<std::string, int> sockets_;
};

}  // namespace chaos
