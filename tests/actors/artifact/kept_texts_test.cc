// SPDX-License-Identifier: MIT
// Large outputs in the store, at another executor, and in the inputs of a command.
#include "artifact/kept_texts.h"

#include <doctest/doctest.h>

#include <fstream>
#include <map>

#include "artifact/artifact_delivery.h"
#include "folders.h"
#include "millrace/runtime/message.h"
#include "millrace/testing/hand_clock.h"

namespace millrace::actors {
namespace {

namespace fs = std::filesystem;
using runtime::errc;
using runtime::error;
using runtime::result;
using inputs = runtime::message<schemas::LargeInputs>;

const std::string run = "r";
const std::function<bool()> always = [] { return true; };
const std::string text(5'000'000, 'x');

struct place {
  place() {
    auto opened = blob_store::open(folder.path, 0);
    REQUIRE(opened);
    store = *std::move(opened);
  }
  std::string keep(std::string_view what) const {
    const auto kept = keep_texts({what}, run, *store, always);
    REQUIRE(kept);
    return kept->front();
  }
  // Changes a byte of it on the disk.
  void flip(const std::string& digest) const {
    const auto path = folder.path / "blobs" / digest;
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
    std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
    file.seekp(1);
    file.put('!');
  }

  millrace::testing::temporary_folder folder;
  std::unique_ptr<blob_store> store;
};

// `{"a":<text>,"b":1}`, of the executor `a`.
inputs inputs_with(const std::string& digest, std::size_t size) {
  inputs made;
  made.build().setJson(R"({"a":,"b":1})");
  auto one = made.build().initTexts(1)[0];
  one.setAt(5);
  one.setTask("probe");
  one.setName("found");
  one.initText().setDigest(digest.c_str());
  one.getText().setSize(size);
  one.getText().setExecutor("a");
  return made;
}

TEST_CASE("kept texts are put into the JSON of inputs, with escapes") {
  place here;
  const std::string odd = "say \"x\"\n\xc3\xbc";
  const auto digest = here.keep(odd);
  CHECK(*whole_inputs(inputs_with(digest, odd.size()).read(), run, *here.store) ==
        "{\"a\":\"say \\\"x\\\"\\n\xc3\xbc\",\"b\":1}");

  here.flip(digest);
  const auto damaged = whole_inputs(inputs_with(digest, odd.size()).read(), run, *here.store);
  REQUIRE_FALSE(damaged);
  CHECK(damaged.error().text() ==
        "the output \"found\" of 'probe': what is kept of it here is damaged");
  CHECK(
      whole_inputs(inputs_with(std::string(64, 'a'), 1).read(), run, *here.store).error().code() ==
      errc::not_found);
}

TEST_CASE("texts are kept all or none") {
  place here;
  CHECK(keep_texts({"one", "two"}, run, *here.store, [] { return false; }).error().code() ==
        errc::cancelled);
  auto full = blob_store::open(here.folder.path / "full", std::uint64_t{1} << 60U);
  REQUIRE(full);
  CHECK(keep_texts({"one"}, run, **full, always).error().code() == errc::out_of_space);
  CHECK(fs::is_empty(here.folder.path / "incoming"));
  CHECK(fs::is_empty(here.folder.path / "blobs"));
}

TEST_CASE("texts come whole from the executor that keeps them, or from another one") {
  place there;
  place second;
  place here;
  const auto digest = there.keep(text);
  std::map<std::string, place*> known{{"a", &there}, {"b", &second}};
  std::vector<std::string> asked;
  const millrace::testing::hand_clock time;
  artifact_delivery delivery{
      *here.store,
      time,
      {[&](const std::string& executor, const std::string& of, const std::string& what,
           std::uint64_t offset) -> result<blob_piece> {
         asked.push_back(executor);
         return known.at(executor)->store->read(of, what, offset);
       },
       [] {
         return std::vector<std::string>{"a", "b"};
       }}};
  const auto wanted = inputs_with(digest, text.size());
  const auto fetch = [&] { return delivery.fetch_texts("1", run, wanted->getTexts(), always); };
  const auto is_whole = [&] {
    return here.store->whole_text(run, digest, text.size()).has_value();
  };

  SUBCASE("in pieces, once") {
    REQUIRE(fetch());
    CHECK(asked == std::vector<std::string>(5, "a"));
    CHECK(is_whole());
    REQUIRE(fetch());
    CHECK(asked.size() == 5);
  }
  SUBCASE("of another where what the first has is damaged") {
    second.keep(text);
    there.flip(digest);
    REQUIRE(fetch());
    CHECK(asked.back() == "b");
    CHECK(is_whole());
  }
  SUBCASE("anew where what is here has been damaged") {
    REQUIRE(fetch());
    here.flip(digest);
    CHECK_FALSE(is_whole());
    REQUIRE(fetch());
    CHECK(is_whole());
  }
  SUBCASE("or not at all, which is said") {
    there.flip(digest);
    const auto lost = fetch();
    REQUIRE_FALSE(lost);
    CHECK(lost.error().code() == errc::not_found);
    CHECK(lost.error().text() == "the output \"found\" of 'probe': no executor has it any more");
    CHECK_FALSE(is_whole());
  }
}

}  // namespace
}  // namespace millrace::actors
