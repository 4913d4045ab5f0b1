// SPDX-License-Identifier: MIT
// Artifacts from a workspace to the store, to another store and into another workspace.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <tuple>

#include "artifact/artifact_collection.h"
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
using wishes = runtime::message<schemas::TaskSpec>;
using sources = runtime::message<schemas::TaskSpec>;

const std::string run = "r";
const std::function<bool()> always = [] { return true; };

std::string content_of(const fs::path& path) {
  std::ifstream file{path, std::ios::binary};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream{path, std::ios::binary} << text;
}

wishes wish_for(const std::vector<std::string>& paths, bool optional = false,
                std::uint64_t max_size = artifact_size_default) {
  wishes made;
  auto one = made.build().initArtifacts(1)[0];
  one.setName("out");
  one.setMaxSize(max_size);
  one.setOptional(optional);
  auto list = one.initPaths(static_cast<unsigned>(paths.size()));
  for (unsigned at = 0; at < list.size(); ++at) {
    list.set(at, paths[at].c_str());
  }
  return made;
}

// A workspace, and the store of the executor that it lies on.
struct place {
  place() { reopen(); }
  void reopen() {
    store.reset();
    auto opened = blob_store::open(folder.path / "artifacts", 0);
    REQUIRE(opened);
    store = *std::move(opened);
    fs::create_directories(room);
  }
  [[nodiscard]] runtime::unique_fd enter(const fs::path& path) const {
    return runtime::unique_fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  }
  [[nodiscard]] result<std::vector<kept_artifact>> collect(
      const wishes& what, const std::string& of = run,
      const std::function<bool()>& wanted = always) const {
    const auto directory = enter(room);
    return collect_artifacts(what->getArtifacts(), directory.get(), of, *store, wanted);
  }
  [[nodiscard]] std::string refusal(const wishes& what) const {
    const auto kept = collect(what);
    return kept ? "" : kept.error().text();
  }
  [[nodiscard]] std::size_t count(const std::string& part) const {
    std::size_t files = 0;
    for (const auto& each : fs::recursive_directory_iterator{folder.path / "artifacts" / part}) {
      files += each.is_regular_file() ? 1 : 0;
    }
    return files;
  }

  millrace::testing::temporary_folder folder;
  fs::path room = folder.path / "room";
  std::unique_ptr<blob_store> store;
};

sources source_of(const kept_artifact& kept, const std::string& folder = "") {
  sources made;
  auto one = made.build().initNeedsArtifacts(1)[0];
  one.setFolder(folder.c_str());
  auto artifact = one.initArtifact();
  artifact.setName(kept.name.c_str());
  artifact.setTask("build");
  artifact.setDigest(kept.digest.c_str());
  artifact.setExecutor("a");
  return made;
}

TEST_CASE("what is kept is the bytes, the paths and whether they may be run") {
  place here;
  write(here.room / "out/a.txt", "first");
  write(here.room / "out/deep/tool", "second");
  write(here.room / "other", "not this");
  fs::permissions(here.room / "out/deep/tool", fs::perms::owner_all);
  const auto kept = here.collect(wish_for({"out"}));
  REQUIRE(kept);
  REQUIRE(kept->size() == 1);
  CHECK((*kept)[0].files == 2);
  CHECK((*kept)[0].bytes == 11);
  const auto list =
      parse_artifact_list(*here.store->text_of(run, (*kept)[0].digest, artifact_list_bytes_max));
  REQUIRE(list);
  CHECK((*list)[0].path == "out/a.txt");
  CHECK_FALSE((*list)[0].executable);
  CHECK((*list)[1].path == "out/deep/tool");
  CHECK((*list)[1].executable);
  CHECK(here.store->read(run, (*list)[0].digest, 0)->bytes == "first");
  CHECK(here.store->read(run, (*list)[0].digest, 2)->bytes == "rst");
  CHECK(here.store->read(run, (*list)[0].digest, 99)->bytes.empty());

  // Of another run nothing is told, and what is written later changes nothing.
  REQUIRE(here.collect(wish_for({"other"}), "s"));
  for (const auto& [of, what] :
       {std::pair{"s", (*list)[0].digest}, std::pair{"r", std::string{"../../../room/other"}}}) {
    const auto refused = here.store->read(of, what, 0);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == errc::not_found);
  }
  write(here.room / "out/a.txt", "changed");
  CHECK(here.store->read(run, (*list)[0].digest, 0)->bytes == "first");
  const auto again = here.collect(wish_for({"out"}));
  CHECK((*again)[0].digest != (*kept)[0].digest);
}

TEST_CASE("a blob is there once, and goes with the last run that has it") {
  place here;
  write(here.room / "a", "same");
  write(here.room / "b", "same");
  REQUIRE(here.collect(wish_for({"*"}), "r"));
  CHECK(here.count("blobs") == 2);  // with the list
  REQUIRE(here.collect(wish_for({"*"}), "s"));
  CHECK(here.count("blobs") == 2);
  CHECK(here.count("runs") == 4);
  CHECK(here.count("incoming") == 0);
  REQUIRE(here.store->remove_run("r"));
  REQUIRE(here.store->remove_run("r"));
  CHECK(here.count("blobs") == 2);
  REQUIRE(here.store->remove_run("s"));
  CHECK(here.count("blobs") == 0);
  CHECK(fs::is_empty(here.folder.path / "artifacts/runs"));
}

TEST_CASE("an artifact is kept for another run, whole or not at all") {
  place here;
  write(here.room / "a", "some");
  write(here.room / "b", "more");
  const auto kept = here.collect(wish_for({"*"}), "r");
  REQUIRE(kept);
  const auto digest = (*kept)[0].digest;
  REQUIRE(here.store->keep_artifact("s", digest));
  REQUIRE(here.store->keep_artifact("s", digest));
  CHECK(here.count("runs") == 6);
  REQUIRE(here.store->remove_run("r"));
  CHECK(here.count("blobs") == 3);
  const auto list = parse_artifact_list(*here.store->text_of("s", digest, 1'000));
  REQUIRE(list);
  CHECK(here.store->read("s", (*list)[1].digest, 0)->bytes == "more");

  fs::remove(here.folder.path / "artifacts/blobs" / (*list)[1].digest);
  fs::remove(here.folder.path / "artifacts/runs/s" / (*list)[1].digest);
  for (const auto& each : {digest, std::string(64, 'a'), std::string{"../x"}}) {
    const auto refused = here.store->keep_artifact("t", each);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == errc::not_found);
  }
}

// Method: what each instant of a crash leaves, put there by hand.
TEST_CASE("what a crash leaves goes at the next start") {
  place here;
  write(here.room / "a", "kept");
  const auto kept = here.collect(wish_for({"a"}));
  REQUIRE(kept);
  write(here.folder.path / "artifacts/incoming/7", "half of someth");
  write(here.folder.path / "artifacts/blobs" / std::string(64, 'a'), "named, of no run yet");
  here.reopen();
  CHECK(here.count("incoming") == 0);
  CHECK(here.count("blobs") == 2);
  CHECK(here.store->has(run, (*kept)[0].digest));
  // A removal that came half way.
  fs::remove(here.folder.path / "artifacts/runs/r" / (*kept)[0].digest);
  here.reopen();
  CHECK(here.count("blobs") == 1);
  REQUIRE(here.store->remove_run(run));
  CHECK(here.count("blobs") == 0);
}

TEST_CASE("what is missing, and is not optional, is said") {
  place here;
  CHECK(here.refusal(wish_for({"a", "b/*"})) ==
        "the artifact \"out\": no file of the workspace fits 'a', 'b/*'");
  const auto none = here.collect(wish_for({"a"}, true));
  REQUIRE(none);
  CHECK(none->empty());
  fs::create_directories(here.room / "empty");
  CHECK_FALSE(here.collect(wish_for({"empty"})));
}

TEST_CASE("links, pipes and sockets are passed over, and never opened") {
  place here;
  write(here.folder.path / "secret", "of somebody else");
  fs::create_directories(here.folder.path / "elsewhere");
  write(here.folder.path / "elsewhere/file", "out");
  fs::create_symlink(here.folder.path / "secret", here.room / "link");
  fs::create_directory_symlink(here.folder.path / "elsewhere", here.room / "dir");
  REQUIRE(::mkfifo((here.room / "pipe").c_str(), 0600) == 0);
  const auto socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  (here.room / "socket").string().copy(name.sun_path, sizeof name.sun_path - 1);
  REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
  ::close(socket);
  CHECK(here.refusal(wish_for({"link"})) ==
        "the artifact \"out\": no file of the workspace fits 'link': 'link' is a symbolic link");
  CHECK(here.refusal(wish_for({"dir/file"})) ==
        "the artifact \"out\": no file of the workspace fits 'dir/file'");
  CHECK(here.refusal(wish_for({"pipe"})).ends_with("'pipe' is a pipe"));
  CHECK(here.refusal(wish_for({"socket"})).ends_with("'socket' is a socket"));
  write(here.room / "file", "x");
  const auto kept = here.collect(wish_for({"**"}));
  REQUIRE(kept);
  CHECK((*kept)[0].files == 1);
}

TEST_CASE("sizes, counts, names and depth have bounds that are said") {
  place here;
  write(here.room / "sparse", "");
  REQUIRE(::truncate((here.room / "sparse").c_str(), off_t{1} << 40) == 0);
  CHECK(here.refusal(wish_for({"sparse"})) ==
        "the artifact \"out\": with 'sparse' it is larger than its max_size, 1Gi");
  int looks = 0;
  CHECK_FALSE(here.collect(wish_for({"sparse"}), run, [&] { return ++looks > 0; }));
  CHECK(looks == 1);  // at its name: nothing of it was copied
  const auto stopped = here.collect(wish_for({"none"}), run, [] { return false; });
  CHECK(stopped.error().code() == runtime::errc::cancelled);
  fs::remove(here.room / "sparse");
  write(here.room / "a", "12345");
  write(here.room / "b", "12345");
  CHECK(here.refusal(wish_for({"*"}, false, 9)).find("with 'b' it is larger") != std::string::npos);
  CHECK(here.collect(wish_for({"*"}, false, 10)));
  write(here.room / "bad/a\nb", "x");
  CHECK(here.refusal(wish_for({"bad"})).find("has a control character in it") != std::string::npos);
  write(here.room / "raw/\xff", "x");
  CHECK(here.refusal(wish_for({"raw"})).find("is no UTF-8") != std::string::npos);
  auto deep = here.room / "deep";
  for (int level = 0; level < 101; ++level) {
    deep /= "d";
  }
  write(deep / "file", "x");
  CHECK(here.refusal(wish_for({"deep"})).find("lies deeper than 100 directories") !=
        std::string::npos);
  CHECK(here.count("incoming") == 0);
}

TEST_CASE("ten thousand files are an artifact, one more is none") {
  place here;
  fs::create_directories(here.room / "many");
  for (int at = 0; at < 10'000; ++at) {
    std::ofstream{here.room / "many" / std::to_string(at)} << at % 10;
  }
  const auto kept = here.collect(wish_for({"many"}));
  REQUIRE(kept);
  CHECK((*kept)[0].files == 10'000);
  CHECK(here.count("blobs") == 11);
  write(here.room / "many/more", "x");
  CHECK(here.refusal(wish_for({"many"})) ==
        "the artifact \"out\": there are more than 10000 files; pack them into one");
}

// Method: names and patterns as long as they may be, each star of which could take any part.
TEST_CASE("patterns that would take too long to follow are refused") {
  place here;
  for (int at = 0; at < 300; ++at) {
    const auto number = std::to_string(at);
    write(here.room / (std::string(250 - number.size(), 'a') + number), "x");
  }
  std::string stars;
  for (int at = 0; at < 500; ++at) {
    stars += "*a";
  }
  const auto why = here.refusal(wish_for(std::vector<std::string>(64, "**/" + stars + "b")));
  CHECK(
      why.starts_with("the artifact \"out\": there are too many patterns, with too many stars, "
                      "for 300 names or more"));
  CHECK(here.refusal(wish_for({"**/" + stars + "b"})).find("no file of the workspace fits") !=
        std::string::npos);
}

// Method: the second look, when 256 KiB have been read, swaps the file; the third lets it grow.
TEST_CASE("a file that is swapped or grows while it is read is what was opened, or none") {
  place here;
  const std::string old(600'000, 'o');
  write(here.room / "a", old);
  int looks = 0;
  const auto kept = here.collect(wish_for({"a"}, false, 700'000), run, [&] {
    if (++looks == 2) {
      write(here.room / "b", std::string(600'000, 'n'));
      fs::rename(here.room / "b", here.room / "a");
    }
    return true;
  });
  REQUIRE(kept);
  const auto list =
      parse_artifact_list(*here.store->text_of(run, (*kept)[0].digest, artifact_list_bytes_max));
  CHECK(here.store->read(run, (*list)[0].digest, 0)->bytes == old);

  looks = 0;
  const auto grown = here.collect(wish_for({"a"}, false, 700'000), run, [&] {
    if (++looks == 2) {
      std::ofstream{here.room / "a", std::ios::app} << std::string(300'000, 'm');
    }
    return true;
  });
  REQUIRE_FALSE(grown);
  CHECK(grown.error().text().find("larger than its max_size") != std::string::npos);
  const auto withdrawn = here.collect(wish_for({"a"}), run, [] { return false; });
  CHECK(withdrawn.error().code() == errc::cancelled);
  CHECK(here.count("incoming") == 0);
}

TEST_CASE("files that a second name has are kept as they were") {
  place here;
  write(here.folder.path / "elsewhere", "first");
  fs::create_hard_link(here.folder.path / "elsewhere", here.room / "a");
  const auto kept = here.collect(wish_for({"a"}));
  REQUIRE(kept);
  write(here.folder.path / "elsewhere", "later");
  const auto list =
      parse_artifact_list(*here.store->text_of(run, (*kept)[0].digest, artifact_list_bytes_max));
  CHECK(here.store->read(run, (*list)[0].digest, 0)->bytes == "first");
}

TEST_CASE("with little room on the disk nothing is kept") {
  place here;
  write(here.room / "a", "x");
  auto opened = blob_store::open(here.folder.path / "full", std::uint64_t{1} << 60U);
  REQUIRE(opened);
  here.store = *std::move(opened);
  const auto kept = here.collect(wish_for({"a"}));
  REQUIRE_FALSE(kept);
  CHECK(kept.error().code() == errc::out_of_space);
  CHECK(kept.error().text().find("disk full: artifacts leave") != std::string::npos);
}

// --- to another executor -------------------------------------------------------------------------

// Two other executors; what each answers can be spoilt.
struct others {
  std::map<std::string, place*> stores;
  std::map<std::string, std::function<result<blob_piece>(result<blob_piece>)>> spoils;
  std::vector<std::string> asked;
  millrace::testing::hand_clock time{};

  blob_sources sources() {
    return {[this](const std::string& executor, const std::string& of, const std::string& digest,
                   std::uint64_t offset) -> result<blob_piece> {
              asked.push_back(executor + " " + std::to_string(offset));
              const auto found = stores.find(executor);
              auto piece = found == stores.end()
                               ? result<blob_piece>{error{errc::unavailable, "nobody answers"}}
                               : found->second->store->read(of, digest, offset);
              const auto spoil = spoils.find(executor);
              return spoil == spoils.end() ? std::move(piece) : spoil->second(std::move(piece));
            },
            [] {
              return std::vector<std::string>{"a", "b", "here"};
            }};
  }
};

TEST_CASE("artifacts come from the executor that keeps them, or from another that has them") {
  place there;
  place second;
  place here;
  const std::string large(2'500'000, 'x');
  for (auto* each : {&there, &second}) {
    write(each->room / "out/large", large);
    write(each->room / "out/small", "s");
  }
  const auto kept = there.collect(wish_for({"out"}));
  REQUIRE(kept);
  const auto wanted = source_of((*kept)[0], "build/0");
  others known{{{"a", &there}}, {}, {}};
  artifact_delivery delivery{*here.store, known.time, known.sources()};
  const auto fetch = [&] { return delivery.fetch("1", run, wanted->getNeedsArtifacts(), always); };

  SUBCASE("in pieces") {
    REQUIRE(fetch());
    CHECK(known.asked == std::vector<std::string>{"a 0", "a 0", "a 1048576", "a 2097152", "a 0"});
    const auto room = here.enter(here.room);
    REQUIRE(delivery.place(run, wanted->getNeedsArtifacts(), room.get(), always));
    CHECK(content_of(here.room / "build/0/out/large") == large);
    REQUIRE(fetch());
    CHECK(known.asked.size() == 5);  // nothing comes twice
  }
  SUBCASE("after what has come when it breaks off") {
    int pieces = 0;
    known.spoils["a"] = [&](result<blob_piece> piece) {
      return ++pieces == 3 ? error{errc::unavailable, "gone"} : std::move(piece);
    };
    const auto broken = fetch();
    REQUIRE_FALSE(broken);
    CHECK(broken.error().code() == errc::unavailable);
    CHECK(broken.error().text() ==
          "the artifact \"out\" of 'build': the executor 'a' keeps it and does not answer: gone");
    known.asked.clear();
    REQUIRE(fetch());
    CHECK(known.asked == std::vector<std::string>{"a 1048576", "a 2097152", "a 0"});
  }
  SUBCASE("from another one") {
    REQUIRE(second.collect(wish_for({"out"})));
    known.stores = {{"b", &second}};
    REQUIRE(fetch());
  }
  SUBCASE("and not what is damaged") {
    known.spoils["a"] = [&](result<blob_piece> piece) {
      if (piece && !piece->bytes.empty()) {
        piece->bytes[0] = '!';
      }
      return piece;
    };
    known.stores["b"] = &second;
    const auto lost = fetch();
    REQUIRE_FALSE(lost);
    CHECK(lost.error().code() == errc::unavailable);  // "here" does not answer
    REQUIRE(second.collect(wish_for({"out"})));
    REQUIRE(fetch());
    const auto room = here.enter(here.room);
    REQUIRE(delivery.place(run, wanted->getNeedsArtifacts(), room.get(), always));
    CHECK(content_of(here.room / "build/0/out/small") == "s");
  }
  SUBCASE("or not at all, once everybody has said so") {
    known.stores = {{"a", &second}, {"b", &second}, {"here", &here}};
    const auto lost = fetch();
    REQUIRE_FALSE(lost);
    CHECK(lost.error().code() == errc::not_found);
    CHECK(lost.error().text() == "the artifact \"out\" of 'build': no executor has it any more");
  }
}

// Goal: whoever does not answer holds up one try, not all that others need. Method: a clock that
// moves while the executor is waited for.
TEST_CASE("an executor that keeps silent is waited for once, and left alone for a while") {
  using std::chrono_literals::operator""s;
  place there;
  place here;
  write(there.room / "out", "x");
  const auto kept = there.collect(wish_for({"out"}));
  REQUIRE(kept);
  const auto wanted = source_of((*kept)[0]);
  others known{{{"a", &there}}, {}, {}};
  auto silent = true;
  known.spoils["a"] = [&](result<blob_piece> piece) {
    if (silent) {
      known.time.move(5s);
      return result<blob_piece>{error{errc::unavailable, "it was waited for"}};
    }
    return piece;
  };
  artifact_delivery delivery{*here.store, known.time, known.sources()};
  const auto asked_for = [&](const std::string& attempt) {
    known.asked.clear();
    const auto done = delivery.fetch(attempt, run, wanted->getNeedsArtifacts(), always);
    CHECK((done || done.error().code() == errc::unavailable));
    return known.asked;
  };
  using asked = std::vector<std::string>;
  CHECK(asked_for("1") == asked{"a 0"});  // the others are for the next try
  CHECK(asked_for("2") == asked{"b 0", "here 0"});
  known.time.move(14s);
  CHECK(asked_for("1") == asked{"b 0", "here 0"});
  known.time.move(1s);
  CHECK(asked_for("1") == asked{"a 0"});
  silent = false;
  known.time.move(15s);
  CHECK(asked_for("2") == asked{"a 0", "a 0"});
}

TEST_CASE("what has come for an attempt that is given up goes, and nothing of others") {
  place there;
  place here;
  write(there.room / "out", std::string(2'500'000, 'x'));
  const auto kept = there.collect(wish_for({"out"}));
  REQUIRE(kept);
  const auto wanted = source_of((*kept)[0]);
  others known{{{"a", &there}}, {}, {}};
  int pieces = 0;
  known.spoils["a"] = [&](result<blob_piece> piece) {
    return ++pieces % 3 == 0 ? error{errc::unavailable, "gone"} : std::move(piece);
  };
  artifact_delivery delivery{*here.store, known.time, known.sources()};
  const auto fetch = [&](const std::string& attempt) {
    known.asked.clear();
    return delivery.fetch(attempt, run, wanted->getNeedsArtifacts(), always);
  };
  REQUIRE_FALSE(fetch("1"));
  REQUIRE_FALSE(fetch("2"));  // the list is here since, so it has come further
  CHECK(here.count("incoming") == 2);
  delivery.give_up("2");
  CHECK(here.count("incoming") == 1);
  known.spoils.clear();
  REQUIRE(fetch("1"));
  CHECK(known.asked == std::vector<std::string>{"a 1048576", "a 2097152"});
  CHECK(here.count("incoming") == 0);
}

TEST_CASE("what is put is bounded by its files, the room on the disk, and whether it is wanted") {
  place here;
  write(here.room / "out", "x");
  const auto kept = here.collect(wish_for({"out"}));
  REQUIRE(kept);
  fs::remove(here.room / "out");
  const auto room = here.enter(here.room);
  const millrace::testing::hand_clock time;
  artifact_delivery delivery{*here.store, time, {}};
  const auto one = source_of((*kept)[0]);
  const auto unwanted =
      delivery.place(run, one->getNeedsArtifacts(), room.get(), [] { return false; });
  CHECK(unwanted.error().code() == errc::cancelled);

  // One file under 10,000 names, taken of 21 instances.
  const auto digest = (*parse_artifact_list(
      *here.store->text_of(run, (*kept)[0].digest, artifact_list_bytes_max)))[0]
                          .digest;
  std::vector<artifact_file> files;
  for (int at = 10'000; at < 20'000; ++at) {
    files.push_back({std::to_string(at), 1, false, digest});
  }
  auto list = here.store->begin();
  REQUIRE(list->write(to_text(files)));
  list->close();
  const kept_artifact many{"many", list->digest(), 10'000, 10'000};
  std::vector<blob_store::draft> made;
  made.push_back(*std::move(list));
  REQUIRE(here.store->keep(run, std::move(made)));
  sources all;
  auto taken = all.build().initNeedsArtifacts(21);
  const auto of_many = source_of(many);
  for (unsigned at = 0; at < taken.size(); ++at) {
    taken.setWithCaveats(at, of_many->getNeedsArtifacts()[0]);
    taken[at].setFolder(std::to_string(at).c_str());
  }
  const auto too_many = delivery.place(run, all->getNeedsArtifacts(), room.get(), always);
  REQUIRE_FALSE(too_many);
  CHECK(too_many.error().text() ==
        "what it takes has more than 200000 files together; pack them, or take fewer");

  auto full = blob_store::open(here.folder.path / "artifacts", std::uint64_t{1} << 60U);
  REQUIRE(full);
  artifact_delivery without_room{**full, time, {}};
  const auto refused = without_room.place(run, one->getNeedsArtifacts(), room.get(), always);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::out_of_space);
  CHECK(refused.error().text().starts_with("what it takes has 1: disk full: artifacts leave "));
  CHECK(fs::is_empty(here.room));
}

// Somebody to whom modes apply: they do not to root, as whom tests may run.
class as_nobody {
public:
  as_nobody() { std::ignore = ::seteuid(nobody); }
  as_nobody(const as_nobody&) = delete;
  as_nobody& operator=(const as_nobody&) = delete;
  ~as_nobody() { std::ignore = ::seteuid(::getuid()); }

private:
  static constexpr uid_t nobody = 65'534;
};

TEST_CASE("directories that an earlier attempt has closed are opened again") {
  const as_nobody other;
  place here;
  write(here.room / "out/deep/a", "a");
  const auto kept = here.collect(wish_for({"out"}));
  REQUIRE(kept);
  const millrace::testing::hand_clock time;
  artifact_delivery delivery{*here.store, time, {}};
  const auto room = here.enter(here.room);
  const auto wanted = source_of((*kept)[0]);
  const auto readable = fs::perms::owner_read | fs::perms::owner_exec;
  for (const auto closed : {readable, fs::perms::none}) {
    for (const auto* path : {"out/deep", "out", "."}) {
      fs::permissions(here.room / path, closed);
    }
    const auto placed = delivery.place(run, wanted->getNeedsArtifacts(), room.get(), always);
    REQUIRE_MESSAGE(placed, placed.error().text());
    CHECK(content_of(here.room / "out/deep/a") == "a");
  }
}

TEST_CASE("what an earlier attempt left in the way goes, and two sources of one path do not fit") {
  place here;
  write(here.room / "out/a", "a");
  const auto kept = here.collect(wish_for({"out"}));
  REQUIRE(kept);
  fs::remove_all(here.room);
  fs::create_directories(here.room / "elsewhere");
  fs::create_symlink(here.room / "elsewhere", here.room / "out");
  const millrace::testing::hand_clock time;
  artifact_delivery delivery{*here.store, time, {}};
  const auto room = here.enter(here.room);
  auto wanted = source_of((*kept)[0]);
  REQUIRE(delivery.place(run, wanted->getNeedsArtifacts(), room.get(), always));
  CHECK(fs::is_directory(fs::symlink_status(here.room / "out")));
  CHECK(fs::is_empty(here.room / "elsewhere"));
  REQUIRE(delivery.place(run, wanted->getNeedsArtifacts(), room.get(), always));
  CHECK(content_of(here.room / "out/a") == "a");

  sources both;
  auto list = both.build().initNeedsArtifacts(2);
  list.setWithCaveats(0, wanted->getNeedsArtifacts()[0]);
  list.setWithCaveats(1, wanted->getNeedsArtifacts()[0]);
  list[1].getArtifact().setTask("test");
  const auto clash = delivery.place(run, both->getNeedsArtifacts(), room.get(), always);
  REQUIRE_FALSE(clash);
  CHECK(clash.error().text() ==
        "two artifacts have the path 'out/a': the artifact \"out\" of 'build', and the artifact "
        "\"out\" of 'test'; have them write to different directories");
  list[1].setFolder("out/a");
  const auto below = delivery.place(run, both->getNeedsArtifacts(), room.get(), always);
  REQUIRE_FALSE(below);
  CHECK(below.error().text().starts_with("two artifacts have the path 'out/a'"));
}

}  // namespace
}  // namespace millrace::actors
