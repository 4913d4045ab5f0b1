// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "command_line.h"

namespace millrace::gateway::cli {
namespace {

using http::has;

}  // namespace

TEST_CASE("what is no millrace server is named as such, whatever it answers") {
  for (const auto* body : {"<html>hello</html>", "", "[1]", "3", "\xff"}) {
    for (const int status : {200, 404, 502}) {
      CAPTURE(body);
      CAPTURE(status);
      http::running on{
          [&](http::request&, http::reply answer) { answer.send(http::text(status, body)); }};
      for (const auto& words : std::vector<std::vector<std::string>>{
               {"list"}, {"submit", "x"}, {"get", "x"}, {"cancel", "x"}, {"retry", "x"}}) {
        const auto left = command_line(on, words);
        CHECK(left.code == exit_code::unreachable);
        CHECK(left.output.empty());
        CHECK(
            has(left.errors, "no millrace server at http://127.0.0.1:" + std::to_string(on.port)));
      }
    }
  }
}

}  // namespace millrace::gateway::cli
