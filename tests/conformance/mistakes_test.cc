// SPDX-License-Identifier: MIT
// Mistakes of an author: each is said with the actor and method that made it, and harms as little
// as it can.
#include <sys/wait.h>
#include <unistd.h>

#include "conformance/clerk.h"

namespace millrace::conformance {
namespace {

bool warned(clerk_silo& silo, std::string_view what) {
  const auto all = silo.warnings();
  return std::any_of(all.begin(), all.end(),
                     [&](const auto& each) { return each.find(what) != std::string::npos; });
}

// What a child says on its standard error before it aborts.
template <class Work>
std::string last_words_of(Work&& work) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGABRT, SIG_DFL);
    ::dup2(ends[1], STDERR_FILENO);
    work();
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  char chunk[512];
  for (auto size = ::read(ends[0], chunk, sizeof chunk); size > 0;
       size = ::read(ends[0], chunk, sizeof chunk)) {
    said.append(chunk, static_cast<std::size_t>(size));
  }
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  return said;
}

TEST_CASE("reading the value of a failed result in a turn ends that activation only") {
  clerk_silo silo;
  REQUIRE(silo.call(ref<Clerk>("a").follow("edit")));
  const auto misread = silo.call(ref<Clerk>("a").follow("edit;misread"));
  REQUIRE_FALSE(misread);
  CHECK(misread.error().code() == errc::internal);
  CHECK(misread.error().text().find("conflict: nothing to read") != std::string::npos);
  CHECK(warned(silo, "conflict: nothing to read method=follow actor=clerk/a"));
  CHECK(silo.call(ref<Clerk>("a").follow("edit"))->total() == 2);
}

TEST_CASE("outside of turns it stops the program, with the error") {
  const auto said = last_words_of([] {
    const result<int> failed = error{errc::conflict, "nothing to read"};
    static_cast<void>(*failed);
  });
  CHECK(said ==
        "millrace: the value of a failed result was read, which is conflict: nothing to read\n");
}

// Method: by an answer, and by the deadline, which comes from the timer's thread.
TEST_CASE("reading the value of a failed answer harms that call only, wherever it is taken") {
  clerk_silo silo;
  silo.here().call_then<clerk_interface::follow_results>(
      ref<Clerk>("a").follow("fail 1"), [](const auto& answer) { static_cast<void>(*answer); });
  silo.settle();
  CHECK(warned(silo, "was read, which is unavailable: planned actor=clerk/a method=follow"));
  silo.here().call_then<clerk_interface::follow_results>(
      ref<Clerk>("a").follow("wait").timeout(1s),
      [](const auto& answer) { static_cast<void>(*answer); });
  silo.advance(2s);
  CHECK(warned(silo,
               "was read, which is deadline_exceeded: no answer by the deadline type=clerk "
               "method=follow"));
  CHECK(silo.call(ref<Clerk>("a").get()));
}

TEST_CASE("reading the value of a failed result in offloaded work fails that method only") {
  clerk_silo silo;
  const auto misread = silo.call(ref<Clerk>("a").follow("offload misread"));
  REQUIRE_FALSE(misread);
  CHECK(misread.error() ==
        error{errc::internal,
              "exception in offloaded work of clerk/a.follow: the value of a failed result was "
              "read, which is conflict: nothing to read"});
  CHECK(silo.call(ref<Clerk>("a").get()));
}

TEST_CASE("a coroutine that forgets to return its value ends that activation only") {
  clerk_silo silo;
  const auto forgotten = silo.call(ref<Clerk>("a").follow("edit;forget to return"));
  REQUIRE_FALSE(forgotten);
  CHECK(forgotten.error() ==
        error{errc::internal, "a coroutine has ended without co_return of a value"});
  CHECK(warned(silo, "without co_return of a value method=follow actor=clerk/a"));
  CHECK(silo.total("a") == 0);
}

TEST_CASE("a broken assertion names the turn in which it broke") {
  const auto said = last_words_of([] {
    clerk_silo silo;
    silo.here().add_filter([](incoming_call&) -> async<any_message> {
      MILLRACE_ASSERT(1 == 2);
      co_return any_message{};
    });
    static_cast<void>(silo.call(ref<Clerk>("a").follow("edit")));
  });
  CHECK(said.find("assertion failed: 1 == 2 at ") != std::string::npos);
  CHECK(said.find(" in clerk/a.follow\n") != std::string::npos);
}

TEST_CASE("a type that is added twice, or too late, is named") {
  CHECK(last_words_of([] {
          silo here{make_memory_storage()};
          here.add<sleeper>();
          here.add<sleeper>();
        }) == "millrace: actor type 'sleeper' is added twice\n");
  CHECK(last_words_of([] {
          silo here{make_memory_storage()};
          static_cast<void>(here.start());
          here.add<sleeper>();
        }) ==
        "millrace: actor type 'sleeper' is added to a silo that has started; add it before "
        "start()\n");
}

TEST_CASE("an exception of what takes an answer is told with the call, and the silo goes on") {
  clerk_silo silo;
  silo.here().call_then<clerk_interface::get_results>(
      ref<Clerk>("a").get(), [](const auto&) { throw std::runtime_error{"planned"}; });
  silo.settle();
  CHECK(warned(silo, "an exception: planned actor=clerk/a method=get"));
  silo.here().call_then<clerk_interface::follow_results>(ref<Clerk>("a").follow("wait").timeout(1s),
                                                         [](const auto&) { throw 42; });
  silo.advance(2s);
  CHECK(warned(silo, "an exception: of unknown type"));
  CHECK(silo.call(ref<Clerk>("a").get()));
}

TEST_CASE("a call that would block the thread of a turn is refused with what to write instead") {
  clerk_silo silo;
  const auto refused = silo.call(ref<Clerk>("a").follow("block"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::failed_precondition);
  CHECK(refused.error().text().find("in clerk/a.follow,") != std::string::npos);
  CHECK(refused.error().text().find("co_await ref<Type>(key).method()") != std::string::npos);
}

TEST_CASE("a wait that keeps out everybody who might notify it fails at once") {
  clerk_silo silo;
  const auto refused = silo.call(ref<Sleeper>("a").sleep("go"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error() ==
        error{errc::call_cycle,
              "sleeper/a.sleep waits for 'go', and nobody who might notify it may run meanwhile; "
              "mark sleep $reentrant (or wait without a name to let time pass)"});
  auto sleeping = silo.begin(ref<Sleeper>("a").sleep(""));
  CHECK_FALSE(sleeping.answered());
  silo.advance(1s);
  CHECK_FALSE(sleeping.answer()->raised());
}

TEST_CASE("a receiver that cannot take a send keeps the later ones back for a bounded time") {
  clerk_silo silo{{.send_retry_max = 1h}};
  REQUIRE(silo.call(ref<Clerk>("a").order("b", "edit;fail 1000000")));
  REQUIRE(silo.call(ref<Clerk>("a").order("b", "edit")));
  silo.advance(30s);
  CHECK(silo.warnings().empty());
  silo.advance(1min);
  CHECK(warned(silo, "target=clerk/b waiting=2 error=unavailable: planned actor=clerk/a"));
  silo.advance(50min);
  CHECK(silo.warnings().size() == 1);
  CHECK(silo.total("b") == 0);
  silo.advance(10min);
  CHECK(silo.total("b") == 1);
  CHECK(warned(silo, "a send became a dead letter target=clerk/b"));
  CHECK(silo.here().dead_letters()->size() == 1);
}

TEST_CASE("lists, structs and data are given in the place of their parameter") {
  clerk_silo silo;
  capnp::MallocMessageBuilder memory;
  auto names = memory.initRoot<capnp::List<capnp::Text>>(2);
  names.set(0, "one");
  names.set(1, "two");
  message<ClerkEntry> entry;
  entry.build().setAmount(7);
  const kj::byte bytes[3] = {};
  const auto answer =
      silo.call(ref<Sleeper>("a").listed(names.asReader(), entry.read(), kj::arrayPtr(bytes, 3)));
  REQUIRE(answer);
  CHECK(answer->amount() == 37);
  REQUIRE(answer->names().size() == 2);
  CHECK(answer->names()[1] == "two");
}

}  // namespace
}  // namespace millrace::conformance
