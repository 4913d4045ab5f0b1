// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "storage/row_reader.h"
#include "storage_fixture.h"

namespace millrace::runtime {
namespace {

using namespace testing;

constexpr auto p0 = partition_id{0};

/// Does something between the reader's look at the overlay and its look at the checkpoint.
class interrupted_snapshot final : public checkpoint_snapshot {
public:
  interrupted_snapshot(std::unique_ptr<checkpoint_snapshot> inner, std::function<void()> interrupt)
      : inner_(std::move(inner)), interrupt_(std::move(interrupt)) {}
  result<void> renew() override {
    if (interrupt_ != nullptr) {
      std::exchange(interrupt_, nullptr)();
    }
    return inner_->renew();
  }
  void release() override { inner_->release(); }
  result<void> scan(partition_id partition, std::span<const key_range> ranges,
                    const row_visit& visit) override {
    return inner_->scan(partition, ranges, visit);
  }
  result<void> scan_keys(partition_id partition,
                         const std::function<bool(std::string_view)>& visit) override {
    return inner_->scan_keys(partition, visit);
  }

private:
  std::unique_ptr<checkpoint_snapshot> inner_;
  std::function<void()> interrupt_;
};

struct rows_under_test {
  overlay recent{1};
  std::unique_ptr<checkpoint> rows = make_memory_checkpoint();

  void checkpoint_all() {
    const auto frozen = recent.freeze({});
    REQUIRE(rows->write(frozen->changes(), &frozen->progress));
    recent.drop_frozen();
  }

  std::string read_with(std::function<void()> interrupt) {
    auto inner = rows->open_snapshot();
    REQUIRE(inner);
    interrupted_snapshot snapshot{std::move(*inner), std::move(interrupt)};
    row_view view{recent, snapshot};
    REQUIRE(view.open());
    auto text = rows_text(view.read(p0, {}));
    view.close();
    return text;
  }
};

TEST_CASE("rows that move into the checkpoint while a view opens are not missed") {
  rows_under_test tested;
  tested.recent.apply(p0, put_row("x", "1").encoded());
  CHECK(tested.read_with([&] { tested.checkpoint_all(); }) == "x=1");
  CHECK(tested.read_with(nullptr) == "x=1");
}

// Goal: no half commit. Method: the commit of x=2 and y=2 comes and is checkpointed while the view
// opens; x=1 is still in the generation that the view saw first, and must not go with y=2.
TEST_CASE("a commit that is checkpointed while a view opens is seen wholly") {
  rows_under_test tested;
  tested.recent.apply(p0, put_row("x", "1").encoded());
  CHECK(tested.read_with([&] {
    tested.checkpoint_all();
    row_ops ops;
    ops.put("x", "2");
    ops.put("y", "2");
    tested.recent.apply(p0, ops.encoded());
    tested.checkpoint_all();
  }) == "x=2 y=2");
}

TEST_CASE("the newer generation hides the older one, and both hide the checkpoint") {
  rows_under_test tested;
  for (const auto* key : {"a", "b", "c", "d"}) {
    tested.recent.apply(p0, put_row(key, "old").encoded());
  }
  tested.checkpoint_all();
  tested.recent.apply(p0, put_row("a", "frozen").encoded());
  tested.recent.apply(p0, put_row("b", "frozen").encoded());
  tested.recent.apply(p0, erase_row("c").encoded());
  tested.recent.freeze({});
  tested.recent.apply(p0, put_row("b", "active").encoded());
  tested.recent.apply(p0, erase_row("a").encoded());
  tested.recent.apply(p0, put_row("e", "active").encoded());
  CHECK(tested.read_with(nullptr) == "b=active d=old e=active");
}

}  // namespace
}  // namespace millrace::runtime
