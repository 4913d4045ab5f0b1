// SPDX-License-Identifier: MIT
// The memory of answers that wait for their readers: bounded, shared, and given back.
#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "access/principal.h"
#include "http/stream_queue.h"
#include "wire.h"

namespace millrace::gateway::http {
namespace {

// More than sockets hold of what nobody reads.
constexpr std::size_t large = std::size_t{16} << 20;

constexpr std::string_view get_x = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view post_x = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";

void until(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    std::this_thread::yield();
  }
}

std::size_t resident_bytes() {
  std::size_t whole = 0;
  std::size_t resident = 0;
  std::ifstream{"/proc/self/statm"} >> whole >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Who asks is what `X-By` says.
std::string get_by(std::string_view name) {
  return "GET /x HTTP/1.1\r\nHost: h\r\nX-By: " + std::string{name} + "\r\n\r\n";
}

void know(request& asked) {
  if (const auto by = asked.headers.find("X-By")) {
    asked.by = std::make_shared<principal>(principal{.name = std::string{*by}, .grants = {}});
  }
}

bool is_refused(std::string_view answer) {
  return answer.starts_with("HTTP/1.1 503 ") && has(answer, "Retry-After: 1\r\n");
}

std::unique_ptr<wire> asking(const running& on, std::string_view what, std::uint32_t last) {
  auto made = std::make_unique<wire>(on.port, 0x7f000000 + last);
  made->send(what);
  return made;
}

}  // namespace

// Method: clients ask and do not read.
TEST_CASE("all answers that wait to be read have a bound together, and small ones go on") {
  server_options options;
  options.answers_bytes_max = 3 * large;
  running on{[](request& asked, reply answer) {
               answer.send(text(200, asked.path() == "/small" ? "small" : std::string(large, 'y')));
             },
             options};
  std::vector<std::unique_ptr<wire>> readers;
  for (std::uint32_t last = 2; last < 5; ++last) {
    readers.push_back(asking(on, get_x, last));
    until([&] { return on.served.probe().answers_bytes == (last - 1) * large; });
  }
  const auto late = asking(on, get_x, 5);
  CHECK(is_refused(late->read_answer()));
  late->send("GET /small HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(late->read_answer().ends_with("small"));
  CHECK(on.served.probe().answers_refused_total == 1);
  CHECK(readers[0]->read_answer().size() > large);
  readers[1]->leave();
  until([&] { return on.served.probe().answers_bytes == large; });
  late->send(get_x);
  CHECK(late->read_answer().size() > large);
  CHECK(readers[2]->read_answer().size() > large);
  until([&] { return on.served.probe().answers_bytes == 0; });
}

TEST_CASE("of the memory for answers each client has a share, and strangers one together") {
  server_options options;
  options.answers_bytes_max = 8 * large;
  options.asks_who = true;
  running on{[](request& asked, reply answer) {
               know(asked);
               answer.send(text(200, std::string(large, 'y')));
             },
             options};
  std::vector<std::unique_ptr<wire>> readers;
  std::size_t taken = 0;
  const auto takes = [&](const std::string& what, std::uint32_t last) {
    auto reader = asking(on, what, last);
    const auto refused = on.served.probe().answers_refused_total;
    until([&] {
      const auto now = on.served.probe();
      return now.answers_bytes == taken + large || now.answers_refused_total > refused;
    });
    const auto is_taken = on.served.probe().answers_bytes > taken;
    taken = on.served.probe().answers_bytes;
    readers.push_back(std::move(reader));
    return is_taken;
  };
  CHECK(takes(get_by("a"), 2));
  CHECK(takes(get_by("a"), 3));
  CHECK_FALSE(takes(get_by("a"), 4));
  CHECK(takes(std::string{get_x}, 2));
  CHECK(takes(std::string{get_x}, 3));
  CHECK_FALSE(takes(std::string{get_x}, 4));
  CHECK(takes(get_by("b"), 2));
}

// Goal: a refusal never says of a change that is made that it is not.
TEST_CASE("who has asked for a change and cannot be answered sees his connection end") {
  server_options options;
  options.answers_bytes_max = large / 2;
  running on{[](request&, reply answer) { answer.send(text(200, std::string(large, 'y'))); },
             options};
  CHECK(is_refused(asking(on, get_x, 2)->read_answer()));
  CHECK(asking(on, post_x, 2)->read_all().empty());
}

TEST_CASE("who has posted what changes nothing is told that there is no room for the answer") {
  server_options options;
  options.answers_bytes_max = large / 2;
  running on{[](request& asked, reply answer) {
               auto told = text(asked.path() == "/y" ? 422 : 200, std::string(large, 'y'));
               told.changed_nothing = asked.path() != "/y";
               answer.send(std::move(told));
             },
             options};
  CHECK(is_refused(asking(on, post_x, 2)->read_answer()));
  CHECK(is_refused(
      asking(on, "POST /y HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 2)->read_answer()));
}

// Method: what one buffer holds is asked for by many who do not read it. A copy for each would be
// 256 MiB.
TEST_CASE("a body that many answers share takes its memory once") {
  server_options options;
  options.answers_bytes_max = 1;
  const auto body = std::make_shared<const std::string>(large, 'y');
  running on{[body](request&, reply answer) { answer.send(json(200, body)); }, options};
  const auto before = resident_bytes();
  std::vector<std::unique_ptr<wire>> readers;
  for (int i = 0; i < 16; ++i) {
    readers.push_back(asking(on, get_x, 2));
  }
  until([&] { return on.served.probe().requests_total == 16 && body.use_count() >= 18; });
  CHECK(on.served.probe().answers_bytes == 0);
  CHECK(resident_bytes() < before + 4 * large);
  const auto answer = readers[7]->read_answer();
  CHECK(has(answer, "Content-Length: " + std::to_string(large)));
  CHECK(answer.ends_with("\r\n\r\n" + *body));
  readers[7]->send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(has(readers[7]->read_until("\r\n\r\n"), "Content-Length: " + std::to_string(large)));
  readers[7]->send(std::string{get_x} + std::string{get_x});
  CHECK(readers[7]->read_answer().size() == answer.size());
  CHECK(readers[7]->read_answer().size() == answer.size());
}

// Goal: what streams have queued is of the same memory: a writer is told to wait in time, and who
// writes on all the same loses the stream.
TEST_CASE("streams whose clients do not read take so much together and no more") {
  constexpr std::size_t piece = std::size_t{64} << 10;
  server_options options;
  options.stream_bytes_max = large;
  options.answers_bytes_max = 16 * piece;
  slot<stream> opened;
  running on{[&](request&, reply answer) { opened.put(answer.open(200, {})); }, options};
  const auto reader = asking(on, get_x, 2);
  auto out = opened.take();
  std::size_t before_full = 0;
  auto status = write_status::ok;
  for (int i = 0; i < 10'000 && status == write_status::ok; ++i) {
    before_full = on.served.probe().answers_bytes;
    status = out.write(std::string(piece, 'x'));
  }
  CHECK(status == write_status::full);  // at half of a share
  CHECK(before_full <= 2 * piece);
  for (int i = 0; i < 10'000 && status != write_status::closed; ++i) {
    status = out.write(std::string(piece, 'x'));
    CHECK(on.served.probe().answers_bytes <= 16 * piece);
  }
  CHECK(status == write_status::closed);
  CHECK(on.served.probe().answers_refused_total == 1);
  out.close();
  out = {};
  until([&] { return on.served.probe().answers_bytes == 0; });
}

// Goal: of the streams of one token those that are read go on, whatever the others have queued.
TEST_CASE("a stream that is read has its piece also where others of its client do not read") {
  constexpr std::size_t piece = stream_queue::piece_bytes_max;
  server_options options;
  options.answers_bytes_max = 16 * piece;
  const runtime::system_clock clock;
  const auto core = std::make_shared<server_core>(options, handler{}, clock, access_log{});
  const auto loop = std::make_shared<io_loop>(core);
  stream_queue slow{loop, {}, "one"};
  CHECK(slow.write(std::string(4 * piece, 'x')) == write_status::full);  // all that is for one
  stream_queue prompt{loop, {}, "one"};
  std::string taken;
  for (int i = 0; i < 100; ++i) {
    CHECK(prompt.write(std::string(piece, 'x')) == write_status::full);
    CHECK(core->answers.taken() == 5 * piece);
    taken.clear();
    prompt.take(taken);
    prompt.sent(taken.size());
  }
  stream_queue lags{loop, {}, "one"};
  CHECK(lags.write(std::string(piece, 'x')) == write_status::full);
  CHECK(lags.write("and more") == write_status::closed);
  // All together have what there is, and no more.
  stream_queue second{loop, {}, "two"};
  stream_queue third{loop, {}, "three"};
  CHECK(second.write(std::string(4 * piece, 'x')) == write_status::full);
  CHECK(third.write(std::string(4 * piece, 'x')) == write_status::full);
  stream_queue fourth{loop, {}, "four"};
  CHECK(fourth.write(std::string(3 * piece, 'x')) == write_status::full);
  CHECK(prompt.write(std::string(piece, 'x')) == write_status::closed);
  CHECK(core->answers.taken() <= 16 * piece);
}

// Goal: however many streams a client leaves unread, half of the memory is for others.
TEST_CASE("the streams of one client do not take what is for others") {
  constexpr std::size_t piece = stream_queue::piece_bytes_max;
  server_options options;
  options.answers_bytes_max = 16 * piece;
  const runtime::system_clock clock;
  const auto core = std::make_shared<server_core>(options, handler{}, clock, access_log{});
  const auto loop = std::make_shared<io_loop>(core);
  std::vector<std::unique_ptr<stream_queue>> unread;
  for (int i = 0; i < 20; ++i) {
    unread.push_back(std::make_unique<stream_queue>(loop, std::weak_ptr<connection>{}, "one"));
    static_cast<void>(unread.back()->write(std::string(piece, 'x')));
  }
  CHECK(core->answers.taken() == 8 * piece);
  CHECK(core->answers.take("two", 0, 4 * piece));
  CHECK(core->answers.take("three", 0, 4 * piece));
}

// Method: the stream has ended, and nobody reads.
TEST_CASE("what a stream has queued counts until its reader has it") {
  slot<stream> opened;
  slot<int> drained;
  running on{[&](request&, reply answer) { opened.put(answer.open(200, {})); }};
  const auto reader = asking(on, get_x, 2);
  auto out = opened.take();
  out.on_drained([&] { drained.put(1); });
  for (int i = 0; i < 10'000 && out.write(std::string(1 << 16, 'x')) == write_status::ok; ++i) {
  }
  out.close();
  CHECK(on.served.probe().answers_bytes > 1 << 16);
  const auto all = reader->read_until("\r\n0\r\n\r\n");
  CHECK(all.size() > 1 << 19);
  until([&] { return on.served.probe().answers_bytes == 0; });
}

// Goal: a queue that is never empty does not keep what was taken of it.
TEST_CASE("a stream that always lags takes no more memory as it goes on") {
  constexpr std::size_t piece = stream_queue::piece_bytes_max;
  const runtime::system_clock clock;
  const auto core = std::make_shared<server_core>(server_options{}, handler{}, clock, access_log{});
  const auto loop = std::make_shared<io_loop>(core);
  stream_queue queue{loop, {}, "one"};
  queue.write(std::string(2 * piece, 'x'));
  const auto before = resident_bytes();
  std::string taken;
  for (int i = 0; i < 2'000; ++i) {
    CHECK(queue.write(std::string(piece, 'x')) == write_status::ok);
    taken.clear();
    CHECK(queue.take(taken) == stream_queue::rest::more);
    queue.sent(taken.size());
  }
  CHECK(resident_bytes() < before + 200 * piece);
  CHECK(core->answers.taken() == 2 * piece);
}

// Goal: who had a token that is nobody's any more cannot hold the connections that he has.
TEST_CASE("a connection is nobody's any more once its token is not") {
  std::atomic<bool> is_somebody{true};
  server_options options;
  options.connections_max = 2;
  options.asks_who = true;
  options.header_timeout = std::chrono::milliseconds{80};  // so that sweeps are 10 ms apart
  options.is_valid = [&](const principal& who) { return who.name != "a" || is_somebody; };
  running on{[](request& asked, reply answer) {
               know(asked);
               echo(asked, std::move(answer));
             },
             options};
  const auto first = asking(on, get_by("a"), 2);
  const auto second = asking(on, get_by("a"), 2);
  CHECK(has(first->read_answer(), "200 OK"));
  CHECK(has(second->read_answer(), "200 OK"));
  CHECK(is_refused(asking(on, get_by("b"), 3)->read_all()));
  is_somebody = false;
  first->send(get_x);  // what anybody may ask does not make it somebody's
  CHECK(has(first->read_answer(), "200 OK"));
  std::unique_ptr<wire> other;
  until([&] {
    other = asking(on, get_by("b"), 3);
    return has(other->read_answer(), "200 OK");
  });
  CHECK(second->read_all().empty());
  CHECK(on.served.probe().connections_dropped_total == 1);
  first->send(get_by("c"));  // by another token it is
  CHECK(has(first->read_answer(), "200 OK"));
  CHECK(is_refused(asking(on, get_by("b"), 4)->read_all()));
}

}  // namespace millrace::gateway::http
