// SPDX-License-Identifier: MIT
#include "executor/worker.h"

#include <doctest/doctest.h>

#include <future>
#include <vector>

#include "millrace/testing/hand_clock.h"

namespace millrace::actors {
namespace {

using namespace std::chrono_literals;
using millrace::testing::hand_clock;

struct fixture {
  hand_clock time;
  worker jobs{time};
  std::vector<int> done;

  void post(int number, runtime::duration after = {}) {
    jobs.post([this, number] { done.push_back(number); }, after);
  }
};

TEST_CASE_FIXTURE(fixture, "jobs are done in the order in which they came") {
  post(1);
  jobs.post([this] {
    done.push_back(2);
    post(4);
  });
  post(3);
  CHECK(done.empty());
  jobs.run_due();
  CHECK(done == std::vector{1, 2, 3, 4});
}

TEST_CASE_FIXTURE(fixture, "a job for later waits until the instant it is due") {
  post(2, 20ms);
  post(1, 10ms);
  jobs.run_due();
  time.move(10ms - 1ns);
  jobs.run_due();
  CHECK(done.empty());
  time.move(1ns);
  jobs.run_due();
  CHECK(done == std::vector{1});
  time.move(10ms);
  jobs.run_due();
  CHECK(done == std::vector{1, 2});
}

TEST_CASE_FIXTURE(fixture, "a worker tells how long it has been at a job") {
  CHECK(jobs.busy() == 0ns);
  runtime::duration told{};
  jobs.post([&] {
    time.move(3s);
    told = jobs.busy();
  });
  jobs.run_due();
  CHECK(told == 3s);
  CHECK(jobs.busy() == 0ns);
}

TEST_CASE_FIXTURE(fixture, "a worker that has stopped drops what it has not begun") {
  post(1);
  jobs.stop();
  post(2);
  jobs.run_due();
  CHECK(done.empty());
  CHECK(jobs.stopping());
}

TEST_CASE("the thread of a worker does what comes, also later") {
  runtime::system_clock time;
  std::promise<void> soon;
  std::promise<void> later;
  worker jobs{time};
  jobs.post([&] { later.set_value(); }, 1ms);
  jobs.run();
  jobs.post([&] { soon.set_value(); });
  CHECK(soon.get_future().wait_for(60s) == std::future_status::ready);
  CHECK(later.get_future().wait_for(60s) == std::future_status::ready);
}

}  // namespace
}  // namespace millrace::actors
