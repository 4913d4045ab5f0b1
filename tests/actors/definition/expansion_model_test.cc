// SPDX-License-Identifier: MIT
// Random matrices, beside a second way of expanding them: row by row, axis by axis.
#include <doctest/doctest.h>

#include <random>

#include "millrace/actors/expansion.h"
#include "millrace/actors/params.h"

namespace millrace::actors {
namespace {

using row = std::vector<std::pair<std::string, value>>;

std::vector<row> product(const std::vector<matrix_axis>& axes) {
  std::vector<row> rows(1);
  for (const auto& axis : axes) {
    std::vector<row> longer;
    for (const auto& each : rows) {
      for (const auto& cell : std::get<std::vector<value>>(axis.values)) {
        longer.push_back(each);
        longer.back().emplace_back(axis.name, cell);
      }
    }
    rows = std::move(longer);
  }
  return rows;
}

std::vector<row> modelled(const matrix_definition& of) {
  auto rows = product(of.axes);
  for (const auto& rule : of.exclude) {
    std::erase_if(rows, [&](const row& each) {
      const std::map<std::string, value> cells{each.begin(), each.end()};
      for (const auto& [axis, cell] : rule) {
        if (!(cells.at(axis) == cell)) {
          return false;
        }
      }
      return true;
    });
  }
  for (const auto& more : of.include) {
    row made;
    for (const auto& axis : of.axes) {
      made.emplace_back(axis.name, more.at(axis.name));
    }
    rows.push_back(std::move(made));
  }
  return rows;
}

TEST_CASE("random matrices expand to what the model says") {
  std::mt19937 numbers{7};
  const auto below = [&](std::size_t bound) { return numbers() % bound; };
  const auto cell = [&] { return make_value(static_cast<std::int64_t>(below(4))); };
  for (int turn = 0; turn < 2'000; ++turn) {
    matrix_definition matrix;
    const auto axes = 1 + below(4);
    for (std::size_t at = 0; at < axes; ++at) {
      std::vector<value> values;
      for (auto left = below(5); left > 0; --left) {
        values.push_back(cell());
      }
      matrix.axes.push_back({"a" + std::to_string(at), std::move(values)});
    }
    for (auto left = below(4); left > 0; --left) {
      matrix_cells rule{{"a" + std::to_string(below(axes)), cell()}};
      rule.emplace("a" + std::to_string(below(axes)), cell());
      matrix.exclude.push_back(std::move(rule));
    }
    for (auto left = below(3); left > 0; --left) {
      matrix_cells more;
      for (const auto& axis : matrix.axes) {
        more.emplace(axis.name, cell());
      }
      matrix.include.push_back(std::move(more));
    }
    task_definition task;
    task.name = "t";
    task.matrix = matrix;
    const auto wanted = modelled(matrix);
    const auto made = expand(task, map_scope{});
    CAPTURE(turn);
    REQUIRE(made);
    REQUIRE(made->size() == wanted.size());
    for (std::size_t at = 0; at < wanted.size(); ++at) {
      CHECK(made->at(at).index == at);
      REQUIRE(made->at(at).matrix == wanted[at]);
      CHECK(display_name(task, made->at(at)) == "t[" + std::to_string(at) + "]");
      for (const auto& [axis, value] : wanted[at]) {
        CHECK(environment_of(made->at(at)).at(matrix_variable(axis)) == to_text(value));
      }
    }
    CHECK(*expand(task, map_scope{}) == *made);  // a run may do it again
  }
}

}  // namespace
}  // namespace millrace::actors
