// SPDX-License-Identifier: MIT
// What a command does to the files around it, and that nobody but itself is worse off.
//
// Method: each command of a table damages something it can reach. Its attempt must end as the table
// says; the next attempt must run, write an output and a log, and leave both to be read; and a new
// life must open the directory that is left.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <csignal>

#include "fixture.h"
#include "millrace/actors/process_outputs.h"

namespace millrace::actors::testing {
namespace {

namespace fs = std::filesystem;

struct damage {
  const char* name;
  const char* command;      // $HERE is the attempt's directory, $OUT and $LOGS lie outside
  const char* wrong = "";   // in the text about the output; empty: it is read
  const char* output = "";  // that is read
  const char* log = "";     // that is kept, or how it begins
};

constexpr damage to_outputs[] = {
    {"pipe", "rm \"$MILLRACE_OUTPUT\"; mkfifo \"$MILLRACE_OUTPUT\"", "replaced by a pipe"},
    {"socket", "mv \"$OUT/socket\" \"$MILLRACE_OUTPUT\"", "replaced by a socket"},
    {"directory", "rm \"$MILLRACE_OUTPUT\"; mkdir \"$MILLRACE_OUTPUT\"", "replaced by a directory"},
    {"device", "rm \"$MILLRACE_OUTPUT\"; mknod \"$MILLRACE_OUTPUT\" c 1 5", "replaced by a device"},
    {"link out", "ln -sf \"$OUT/secret\" \"$MILLRACE_OUTPUT\"", "replaced by a symbolic link"},
    {"link loop", "ln -sf output \"$MILLRACE_OUTPUT\"", "replaced by a symbolic link"},
    {"hard link in", "ln -f \"$OUT/secret\" \"$MILLRACE_OUTPUT\"", "replaced by another file"},
    {"hard link out", "echo a=1 >> \"$MILLRACE_OUTPUT\"; ln \"$MILLRACE_OUTPUT\" \"$OUT/second\"",
     "", "a=1\n"},
    {"replaced", "echo a=1 > new; mv new \"$MILLRACE_OUTPUT\"", "replaced by another file"},
    {"removed", "rm \"$MILLRACE_OUTPUT\"", "the output file was removed"},
    {"renamed", "mv \"$MILLRACE_OUTPUT\" \"$OUT/elsewhere\"", "the output file was removed"},
    {"mode 000", "echo a=1 >> \"$MILLRACE_OUTPUT\"; chmod 000 \"$MILLRACE_OUTPUT\"", "", "a=1\n"},
    {"directory gone", "rm -r \"$HERE\"", "the output file was removed"},
    {"directory of mode 000", "chmod 000 \"$HERE\"", "", ""},
    {"directory renamed", "echo a=1 >> \"$MILLRACE_OUTPUT\"; mv \"$HERE\" \"$OUT/moved\"", "",
     "a=1\n"},
    {"directory replaced", "rm -r \"$HERE\"; ln -s \"$OUT\" \"$HERE\"",
     "the output file was removed"},
};

constexpr damage to_logs[] = {
    {"pipe", "echo said; rm \"$HERE/stdout\"; mkfifo \"$HERE/stdout\"", "", "", "said\n"},
    {"socket", "echo said; mv \"$OUT/socket\" \"$HERE/stdout\"", "", "", "said\n"},
    {"directory", "echo said; rm \"$HERE/stdout\"; mkdir \"$HERE/stdout\"", "", "", "said\n"},
    {"device", "echo said; rm \"$HERE/stdout\"; mknod \"$HERE/stdout\" c 1 5", "", "", "said\n"},
    {"link out", "echo said; ln -sf \"$OUT/secret\" \"$HERE/stdout\"", "", "", "said\n"},
    {"link loop", "echo said; ln -sf stdout \"$HERE/stdout\"", "", "", "said\n"},
    {"hard link in", "echo said; ln -f \"$OUT/secret\" \"$HERE/stdout\"", "", "", "said\n"},
    {"hard link out", "echo said; ln \"$HERE/stdout\" \"$OUT/second\"", "", "", "said\n"},
    {"removed", "echo said; rm \"$HERE/stdout\"", "", "", "said\n"},
    {"mode 000", "echo said; chmod 000 \"$HERE/stdout\"", "", "", "said\n"},
    {"cut off", "echo before; : > \"$HERE/stdout\"; echo said", "", "", "said\n"},
    {"where it is kept is a pipe", "echo said; mkdir \"$LOGS/a1\"; mkfifo \"$LOGS/a1/a1.stdout\"",
     "", "", "said\n"},
    {"where it is kept is a link",
     "echo said; mkdir \"$LOGS/a1\"; ln -s \"$OUT/secret\" \"$LOGS/a1/a1.stdout\"", "", "",
     "said\n"},
};

// To the attempt table, $TABLE. `wrong`: what the next life says of it; empty: nothing is wrong.
constexpr damage to_the_table[] = {
    {"cut to nothing", ": > \"$TABLE\"", "not an attempt table"},
    {"cut", "truncate -s 70000 \"$TABLE\"", "do not match their checksums"},
    {"a terabyte", "truncate -s 1T \"$TABLE\""},
    {"removed", "rm \"$TABLE\""},
    {"renamed", "mv \"$TABLE\" \"$OUT/elsewhere\""},
    {"pipe", "rm \"$TABLE\"; mkfifo \"$TABLE\"", "is a pipe"},
    {"socket", "mv \"$OUT/socket\" \"$TABLE\"", "is a socket"},
    {"directory", "rm \"$TABLE\"; mkdir -p \"$TABLE/in/it\"", "is a directory"},
    {"device", "rm \"$TABLE\"; mknod \"$TABLE\" c 1 5", "is a device"},
    {"link out", "ln -sf \"$OUT/secret\" \"$TABLE\"", "is a symbolic link"},
    {"hard link in", "ln -f \"$OUT/secret\" \"$TABLE\"", "not an attempt table"},
    {"mode 000", "chmod 000 \"$TABLE\"", "Permission denied"},
    {"header flipped", "printf x | dd of=\"$TABLE\" bs=1 seek=20 conv=notrunc 2>/dev/null",
     "its header"},
    {"slot flipped", "printf x | dd of=\"$TABLE\" bs=1 seek=6000 conv=notrunc 2>/dev/null",
     "1 of its"},
    {"zeros", "head -c 8192 /dev/zero | dd of=\"$TABLE\" bs=256 seek=1 conv=notrunc 2>/dev/null",
     "of its"},
    {"lock", "rm \"$TABLE.lock\"; mkdir \"$TABLE.lock\""},
    {"lock linked", "ln -sf \"$OUT/secret\" \"$TABLE.lock\""},
    {"next", "mkdir -p \"$TABLE.new/in/it\""},
    {"spare", "rm \"$TABLE.spare\"; mkfifo \"$TABLE.spare\""},
    {"aside", "mkdir -p \"$TABLE.damaged/in/it\"; : > \"$TABLE\"", "not an attempt table"},
};

void make_socket(const fs::path& where) {
  const unique_fd made{::socket(AF_UNIX, SOCK_STREAM, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  where.string().copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(made.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
}

std::string contents(const fs::path& file) {
  std::ifstream in{file};
  return {std::istreambuf_iterator<char>{in}, {}};
}

// A supervisor with things outside that no damage may reach.
struct surroundings : fixture {
  fs::path outside = directory.path() / "outside";

  surroundings() {
    fs::create_directory(outside);
    std::ofstream{outside / "secret"} << "k=secret\n";
    make_socket(outside / "socket");
  }

  process_spec command(const damage& one) const {
    auto made = shell("a1", one.command);
    made.environment.push_back("OUT=" + outside.string());
    made.environment.push_back("HERE=" + (directory.path() / "state/files/a1").string());
    made.environment.push_back("LOGS=" + (directory.path() / "state/logs").string());
    made.environment.push_back("TABLE=" + (directory.path() / "state/attempts").string());
    return made;
  }

  void check_that_others_go_on() {
    CHECK(contents(outside / "secret") == "k=secret\n");
    const auto next = run(shell("a2", "echo b=2 >> \"$MILLRACE_OUTPUT\"; echo next"));
    CHECK(next.exit_code == 0);
    REQUIRE(next.output);
    CHECK(*next.output == "b=2\n");
    CHECK(log("a2").read(0, 100)->bytes == "next\n");
  }
};

bool may_make_devices() {
  return ::geteuid() == 0;
}

}  // namespace

TEST_CASE("whatever a command makes of its output file, only its own attempt is worse off") {
  for (const auto& one : to_outputs) {
    if (!may_make_devices() && std::string_view{one.name} == "device") {
      continue;
    }
    CAPTURE(one.name);
    surroundings f;
    const auto ended = f.run(f.command(one));
    CHECK(ended.exit_code == 0);
    CHECK(ended.standard_error.tail == "");
    if (*one.wrong != '\0') {
      REQUIRE_FALSE(ended.output);
      CHECK(ended.output.error().text().find(one.wrong) != std::string::npos);
      CHECK(ended.output.error().text().find("write to $MILLRACE_OUTPUT") != std::string::npos);
    } else {
      REQUIRE(ended.output);
      CHECK(*ended.output == one.output);
    }
    f.check_that_others_go_on();
    f.open();  // nothing is acknowledged: the new life looks at all of it
    REQUIRE(f.supervisor->recovered().size() == 2);
    for (const auto& each : f.supervisor->recovered()) {
      CHECK(each.exit_code == 0);
      if (each.token == "a2") {
        CHECK(*each.output == "b=2\n");
      } else if (each.output && fs::exists(f.directory.path() / "state/files/a1")) {
        CHECK(*each.output == one.output);
      }
    }
  }
}

TEST_CASE("whatever a command makes of its log, what it wrote is kept") {
  for (const auto& one : to_logs) {
    if (!may_make_devices() && std::string_view{one.name} == "device") {
      continue;
    }
    CAPTURE(one.name);
    surroundings f;
    const auto ended = f.run(f.command(one));
    CHECK(ended.exit_code == 0);
    CHECK(ended.standard_error.tail == "");
    CHECK(ended.output);
    CHECK(f.log("a1").read(0, 100)->bytes == one.log);
    f.check_that_others_go_on();
    f.open();
    CHECK(f.log("a1").read(0, 100)->bytes == one.log);
  }
}

// Method: before and after the next life begins, attempts start and end. Where the table is not as
// it was written, the line of its lives ends, and the one line says why.
TEST_CASE("whatever a command makes of the attempt table, this life and the next one go on") {
  for (const auto& one : to_the_table) {
    const std::string_view name{one.name};
    if ((!may_make_devices() && name == "device") || (may_make_devices() && name == "mode 000")) {
      continue;
    }
    CAPTURE(one.name);
    surroundings f;
    const auto ended = f.run(f.command(one));
    CHECK(ended.exit_code == 0);
    CHECK(ended.standard_error.tail == "");
    f.check_that_others_go_on();
    const auto lineage = f.supervisor->lineage();
    std::vector<std::string> warned;
    f.open({.state_directory = {},
            .warn = [&warned](std::string_view line) { warned.emplace_back(line); }});
    if (*one.wrong == '\0') {
      CHECK(warned.empty());
    } else {
      REQUIRE(warned.size() == 1);
      CHECK(warned[0].find(one.wrong) != std::string::npos);
      CHECK(f.supervisor->lineage() != lineage);
    }
    CHECK(f.run(f.shell("a3", "exit 3")).exit_code == 3);
    CHECK(contents(f.outside / "secret") == "k=secret\n");
    REQUIRE(f.supervisor->acknowledge("a3"));
    warned.clear();
    f.open({.state_directory = {},
            .warn = [&warned](std::string_view line) { warned.emplace_back(line); }});
    CHECK(warned.empty());
  }
}

// No file of this process may grow past `bytes`.
class short_files {
public:
  explicit short_files(rlim_t bytes) : on_signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit less{bytes, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &less) == 0);
  }
  ~short_files() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, on_signal_);
  }
  short_files(const short_files&) = delete;
  short_files& operator=(const short_files&) = delete;

private:
  rlimit before_{};
  void (*on_signal_)(int);
};

// Goal: what is good of a damaged table is used, also by the start after one that could not make a
// new table.
TEST_CASE("a damaged slot hides its attempt, not the others") {
  surroundings f;
  CHECK(f.run(f.shell("a1", "exit 3")).exit_code == 3);
  CHECK(f.run(f.shell("a2", "exit 4")).exit_code == 4);
  f.supervisor.reset();
  std::fstream table{f.directory.path() / "state/attempts",
                     std::ios::binary | std::ios::in | std::ios::out};
  table.seekp(256 + 20).put('x');  // in the first slot
  table.close();
  {
    const short_files limit{1000};
    const auto refused =
        process_supervisor::open({.state_directory = f.directory.path() / "state"}, f.clock);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text().find("attempts.new") != std::string::npos);
  }
  f.open();
  REQUIRE(f.supervisor->recovered().size() == 1);
  CHECK(f.supervisor->recovered()[0].token == "a2");
  CHECK(f.supervisor->recovered()[0].exit_code == 4);
}

// Method: the same command in the place of a log that was kept.
TEST_CASE("a kept log that something else took the place of is told, not opened") {
  surroundings f;
  CHECK(f.run(f.shell("a1", "echo said")).exit_code == 0);
  const auto kept = f.directory.path() / "state/logs/a1/a1.stdout";
  REQUIRE(fs::exists(kept));
  const auto refusal = [&] {
    const auto opened = f.supervisor->open_log("a1", output_stream::standard_output);
    REQUIRE_FALSE(opened);
    return opened.error().text();
  };
  REQUIRE(fs::remove(kept));
  REQUIRE(::mkfifo(kept.c_str(), 0600) == 0);
  CHECK(refusal() == "a1.stdout is a pipe, not a file");
  REQUIRE(fs::remove(kept));
  fs::create_symlink(f.outside / "secret", kept);
  CHECK(refusal() == "a1.stdout is a symbolic link, not a file");
  fs::remove_all(kept.parent_path());
  fs::create_directory_symlink(f.outside, kept.parent_path());
  CHECK(refusal() == "a1 is a symbolic link, not a directory");
}

TEST_CASE("a follower reads what a command writes, whatever becomes of the file's name") {
  surroundings f;
  const auto first = f.directory.path() / "first";
  const auto second = f.directory.path() / "second";
  REQUIRE(::mkfifo(first.c_str(), 0600) == 0);
  REQUIRE(::mkfifo(second.c_str(), 0600) == 0);
  auto swapping = f.command({"",
                             "printf one; read line < first; rm \"$HERE/stdout\"; "
                             "mkfifo \"$HERE/stdout\"; printf two; read line < second"});
  auto ended = f.start(swapping);
  CHECK(f.read_growing("a1", 3) == "one");
  { std::ofstream{first} << "\n"; }
  CHECK(f.read_growing("a1", 6) == "onetwo");
  { std::ofstream{second} << "\n"; }
  CHECK(await(std::move(ended)).standard_output.tail == "onetwo");
}

TEST_CASE("a terabyte of nothing costs nothing") {
  surroundings f;
  const auto ended =
      f.run(f.command({"", "truncate -s 1T \"$MILLRACE_OUTPUT\" \"$HERE/stdout\" && echo end"}));
  REQUIRE(ended.output);
  CHECK(ended.output->size() == large_output_bytes_max + 1);
  CHECK(ended.standard_output.bytes == (std::uint64_t{1} << 40U) + 4);
  CHECK(ended.standard_output.tail.ends_with("end\n"));
  const auto begin = f.log("a1").read(0, 100);
  REQUIRE(begin);
  CHECK(begin->dropped >= (std::uint64_t{1} << 40U) - 4096);
  CHECK(begin->next_offset > 0);
  f.check_that_others_go_on();
}

TEST_CASE("what a command leaves in TMPDIR goes with it, however deep, and nothing else") {
  surroundings f;
  auto deep = f.command({"", R"(
ln -s "$OUT" "$TMPDIR/out"
cd "$TMPDIR"
for level in 1 2 3 4 5 6 7 8 9 10; do
  for each in 1 2 3 4 5 6 7 8 9 10; do mkdir d && cd -P d || exit 1; done
  chmod 500 .
done
)"});
  CHECK(f.run(deep).exit_code == 0);
  CHECK_FALSE(fs::exists(f.directory.path() / "state/files/a1"));
  f.check_that_others_go_on();
}

// Method: more levels than descriptors, and a path longer than any call takes.
TEST_CASE("a tree deeper than descriptors reach is removed") {
  fixture f;
  const auto tree = f.directory.path() / "tree";
  constexpr int depth = 3000;
  const std::string name(200, 'd');
  unique_fd at{::open(f.directory.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  REQUIRE(::mkdirat(at.get(), "tree", 0700) == 0);
  at = unique_fd{::openat(at.get(), "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  for (int level = 0; level < depth; ++level) {
    REQUIRE(::mkdirat(at.get(), name.c_str(), 0700) == 0);
    at = unique_fd{::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  }
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit few{256, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  const auto removed = f.supervisor->remove(tree);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(removed);
  CHECK_FALSE(fs::exists(tree));
}

TEST_CASE("TMPDIR is empty and private for every attempt") {
  surroundings f;
  for (const auto* token : {"a1", "a2", "a3"}) {
    auto what = f.shell(token, "ls -A \"$TMPDIR\"; stat -c %a \"$TMPDIR\"; touch \"$TMPDIR/x\"");
    CHECK(f.run(what).standard_output.tail == "700\n");
    REQUIRE(f.supervisor->acknowledge(token));
  }
}

TEST_CASE("an attempt that writes nothing leaves nothing") {
  surroundings f;
  for (int each = 0; each < 3; ++each) {
    CHECK(f.run(f.shell("a1", "true")).exit_code == 0);
    REQUIRE(f.supervisor->acknowledge("a1"));
  }
  CHECK(fs::is_empty(f.directory.path() / "state/logs"));
  for (const auto& each : fs::directory_iterator{f.directory.path() / "state/files"}) {
    CHECK(each.path().filename().string().starts_with(".spare-"));
  }
}

TEST_CASE("a long log keeps its first and its last part") {
  fixture f;
  f.open({.state_directory = {}, .log_bytes_max = std::uint64_t{1} << 20U});
  const auto ended = f.run(f.shell("a1", "echo begin; head -c 20000000 /dev/zero; echo end"));
  CHECK(ended.outcome == process_outcome::exited);
  CHECK(ended.standard_output.bytes == 20'000'010);
  CHECK(ended.standard_output.dropped > 19'000'000);
  CHECK(ended.standard_output.tail.ends_with("end\n"));
  const auto log = f.log("a1");
  const auto first = log.read(0, std::size_t{1} << 20U);
  REQUIRE(first);
  CHECK(first->bytes.starts_with("begin\n"));
  CHECK(first->bytes.size() == std::size_t{1} << 18U);
  const auto last = log.read(first->next_offset, std::size_t{1} << 20U);
  REQUIRE(last);
  CHECK(last->dropped == ended.standard_output.dropped);
  CHECK(last->bytes.ends_with("end\n"));
  CHECK(last->at_end);
  struct stat status {};
  REQUIRE(::stat((f.directory.path() / "state/logs/a1/a1.stdout").c_str(), &status) == 0);
  CHECK(status.st_blocks * 512 < (1 << 20));
}

TEST_CASE("a tree is removed whatever stands in it, and links are not followed") {
  scratch_directory directory;
  const auto tree = directory.path() / "tree";
  fs::create_directories(tree / "a/b/c");
  fs::create_directory(directory.path() / "outside");
  std::ofstream{directory.path() / "outside/kept"} << "kept";
  fs::create_directory_symlink(directory.path() / "outside", tree / "a/link");
  std::ofstream{tree / "a/b/c/file"} << "x";
  fs::permissions(directory.path() / "outside", fs::perms::owner_read | fs::perms::owner_exec);
  fs::permissions(tree / "a/b/c", fs::perms::none);
  fs::permissions(tree / "a", fs::perms::owner_read);
  fixture f;
  REQUIRE(f.supervisor->remove(tree));
  CHECK_FALSE(fs::exists(tree));
  CHECK(contents(directory.path() / "outside/kept") == "kept");
  CHECK(fs::status(directory.path() / "outside").permissions() ==
        (fs::perms::owner_read | fs::perms::owner_exec));
  fs::permissions(directory.path() / "outside", fs::perms::owner_all);
  CHECK(f.supervisor->remove(tree));
}

}  // namespace millrace::actors::testing
