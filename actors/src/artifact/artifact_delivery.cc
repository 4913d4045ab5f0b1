// SPDX-License-Identifier: MIT
#include "artifact/artifact_delivery.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "artifact/kept_texts.h"
#include "millrace/actors/name_rule.h"
#include "millrace/actors/resources.h"
#include "pipeline/names.h"
#include "process/failure.h"
#include "process/task_file.h"

namespace millrace::actors {

using process_detail::file_failure;
using process_detail::make_directory;
using process_detail::remove_tree;
using runtime::errc;
using runtime::error;
using runtime::result;
using runtime::unique_fd;

namespace {

std::string text_of_source(schemas::ArtifactSource::Reader source) {
  const auto artifact = source.getArtifact();
  return "the artifact \"" + text_of(artifact.getName()) + "\" of '" + text_of(artifact.getTask()) +
         "'";
}

// How often a copy asks how much room there is, and whether it is wanted.
constexpr off_t looks_every = off_t{16} << 20U;

// Whether to go on with a copy.
using look = std::function<result<void>()>;

// The kernel shares the blocks where the file system can, else it copies them.
result<void> copy_whole(int from, int to, const look& goes_on) {
  struct stat status {};
  if (::fstat(from, &status) != 0) {
    return file_failure("cannot read an artifact", errno);
  }
  for (auto left = status.st_size; left > 0;) {
    const auto size = static_cast<std::size_t>(std::min(left, looks_every));
    auto copied = ::copy_file_range(from, nullptr, to, nullptr, size, 0);
    if (copied < 0 && errno != ENOSPC && errno != EDQUOT) {
      copied = ::sendfile(to, from, nullptr, size);
    }
    if (copied <= 0) {
      return copied < 0 ? file_failure("cannot write an artifact", errno)
                        : error{errc::storage_failed, "an artifact is shorter than it was"};
    }
    left -= copied;
    if (auto allowed = left > 0 ? goes_on() : result<void>{}; !allowed) {
      return allowed;
    }
  }
  return {};
}

constexpr mode_t of_its_owner = 0700;

// An earlier attempt may have left a directory that not even its owner, who we are, may change.
void let_change(int directory) {
  struct stat status {};
  if (::fstat(directory, &status) == 0 && (status.st_mode & of_its_owner) != of_its_owner) {
    ::fchmod(directory, status.st_mode | of_its_owner);
  }
}

// What an earlier attempt has left in its place goes.
result<unique_fd> directory_below(int top, const std::string& name) {
  auto made = make_directory(top, name);
  if (!made && made.error().code() == errc::failed_precondition) {
    if (auto removed = remove_tree(top, name); !removed) {
      return std::move(removed).error();
    }
    made = make_directory(top, name);
  } else if (!made) {  // it may be one that nobody may look into
    ::fchmodat(top, name.c_str(), of_its_owner, AT_SYMLINK_NOFOLLOW);
    made = make_directory(top, name);
  }
  if (made) {
    let_change(made->get());
  }
  return made;
}

result<void> place_file(int workspace, std::string_view path, int from, bool executable,
                        const look& goes_on) {
  unique_fd above;
  auto directory = workspace;
  for (auto slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/')) {
    auto below = directory_below(directory, std::string{path.substr(0, slash)});
    if (!below) {
      return std::move(below).error();
    }
    above = *std::move(below);
    directory = above.get();
    path.remove_prefix(slash + 1);
  }
  const std::string name{path};
  if (auto removed = remove_tree(directory, name); !removed) {
    return removed;
  }
  constexpr mode_t plain = 0644;
  constexpr mode_t runnable = 0755;
  const unique_fd to{::openat(directory, name.c_str(),
                              O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                              executable ? runnable : plain)};
  return to ? copy_whole(from, to.get(), goes_on)
            : file_failure("cannot make " + shown_name(name), errno);
}

// Where a file goes, and whose it is.
struct placement {
  artifact_file file;
  std::string source;
  std::string task;
};
using placements = std::map<std::string, placement>;

error both(const std::string& path, const std::string& one, const std::string& other) {
  return {errc::failed_precondition, "two artifacts have the path '" + shown_name(path) +
                                         "': " + one + ", and " + other +
                                         "; have them write to different directories"};
}

// A file where another source has a directory is one path, too.
result<void> check_directories(const placements& all) {
  for (const auto& [path, one] : all) {
    for (auto slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      if (const auto above = all.find(path.substr(0, slash)); above != all.end()) {
        return both(above->first, above->second.source, one.source);
      }
    }
  }
  return {};
}

}  // namespace

struct artifact_delivery::wish {
  const std::string& attempt;
  std::string run;
  std::string digest;
  std::string executor;  // that should have it
  std::uint64_t bytes_max;
  const std::function<bool()>& is_wanted;
};

result<std::vector<artifact_file>> artifact_delivery::list_of(std::string_view run,
                                                              std::string_view digest) const {
  const auto text = store_.text_of(run, digest, artifact_list_bytes_max);
  if (!text) {
    return text.error();
  }
  digest_of_stream sum;
  sum.add(*text);
  if (std::move(sum).hex() != digest) {
    return error{errc::storage_failed, "the list of its files is damaged"};
  }
  return parse_artifact_list(*text);
}

// --- getting -------------------------------------------------------------------------------------

// One that keeps us waiting keeps all other attempts waiting, too.
result<blob_piece> artifact_delivery::ask(const std::string& executor, const wish& wanted,
                                          std::uint64_t offset) {
  constexpr runtime::duration short_wait = std::chrono::milliseconds{500};
  const auto asked_at = time_.steady();
  if (const auto silent = silent_until_.find(executor); silent != silent_until_.end()) {
    if (asked_at < silent->second) {
      return error{errc::unavailable, "it has not answered lately"};
    }
    silent_until_.erase(silent);
  }
  auto piece = elsewhere_.read(executor, wanted.run, wanted.digest, offset);
  const auto waited = time_.steady() - asked_at;
  if (!piece && piece.error().code() != errc::not_found && waited > short_wait) {
    silent_until_[executor] = asked_at + (1 + silence_factor) * waited;
    has_waited_ = true;
  }
  return piece;
}

// Goes on after what has come of it before, whoever that came from.
result<void> artifact_delivery::get_from(const std::string& executor, const wish& wanted) {
  auto& all_begun = begun_[wanted.attempt];
  for (;;) {
    auto begun = all_begun.find(wanted.digest);
    if (begun == all_begun.end()) {
      auto fresh = store_.begin();
      if (!fresh) {
        return std::move(fresh).error();
      }
      begun = all_begun.emplace(wanted.digest, *std::move(fresh)).first;
    }
    auto& draft = begun->second;
    if (!wanted.is_wanted()) {
      return error{errc::cancelled, "it is wanted no more"};
    }
    const auto piece = ask(executor, wanted, draft.size());
    if (!piece) {
      return piece.error();
    }
    if (auto written = draft.write(piece->bytes); !written) {
      return written;
    }
    if (draft.size() < piece->size && !piece->bytes.empty() && piece->size <= wanted.bytes_max) {
      continue;
    }
    draft.close();
    const auto is_it = draft.digest() == wanted.digest;
    if (is_it) {
      whole_.push_back(std::move(draft));
    }
    all_begun.erase(begun);
    return is_it ? result<void>{} : error{errc::not_found, "what the executor has is damaged"};
  }
}

result<void> artifact_delivery::get(const wish& wanted) {
  if (!wanted.is_wanted()) {
    return error{errc::cancelled, "it is wanted no more"};
  }
  const auto is_same = [&](const auto& each) { return each.digest() == wanted.digest; };
  if (store_.has(wanted.run, wanted.digest) || std::any_of(whole_.begin(), whole_.end(), is_same)) {
    return {};
  }
  if (!elsewhere_.read) {
    return error{errc::not_found, "nobody has it"};
  }
  auto got = get_from(wanted.executor, wanted);
  if (got || got.error().code() == errc::cancelled || got.error().code() == errc::out_of_space) {
    return got;
  }
  auto may_come = got.error().code() != errc::not_found;
  for (const auto& each : has_waited_ ? std::vector<std::string>{} : elsewhere_.executors()) {
    if (each == wanted.executor || has_waited_) {
      continue;  // the next try asks the others
    }
    const auto other = get_from(each, wanted);
    if (other) {
      return {};
    }
    may_come = may_come || other.error().code() != errc::not_found;
  }
  return may_come
             ? error{errc::unavailable, "the executor '" + wanted.executor +
                                            "' keeps it and does not answer: " + got.error().text()}
             : error{errc::not_found, "no executor has it any more"};
}

result<void> artifact_delivery::fetch(const std::string& attempt, std::string_view run,
                                      artifact_sources sources,
                                      const std::function<bool()>& wanted) {
  has_waited_ = false;
  const auto keep = [&] { return store_.keep(run, std::exchange(whole_, {})); };
  for (auto source : sources) {
    const auto artifact = source.getArtifact();
    const auto because = [&](const error& why) {
      if (why.code() == errc::cancelled) {
        whole_.clear();
      } else if (auto kept = keep(); !kept) {
        return std::move(kept).error();
      }
      return error{why.code(), text_of_source(source) + ": " + why.text()};
    };
    const std::string executor = text_of(artifact.getExecutor());
    const wish of_list{attempt,  std::string{run},        text_of(artifact.getDigest()),
                       executor, artifact_list_bytes_max, wanted};
    if (auto got = get(of_list); !got) {
      return because(got.error());
    }
    if (auto kept = keep(); !kept) {
      return because(kept.error());
    }
    const auto files = list_of(run, of_list.digest);
    if (!files) {
      return because(files.error());
    }
    for (const auto& each : *files) {
      if (auto got = get({attempt, of_list.run, each.digest, executor, each.size, wanted}); !got) {
        return because(got.error());
      }
    }
  }
  give_up(attempt);
  return keep();
}

result<void> artifact_delivery::fetch_texts(const std::string& attempt, std::string_view run,
                                            kept_inputs texts,
                                            const std::function<bool()>& wanted) {
  const std::string of_run{run};
  for (const auto each : texts) {
    const auto kept = each.getText();
    const wish one{attempt,        of_run, text_of(kept.getDigest()), text_of(kept.getExecutor()),
                   kept.getSize(), wanted};
    if (store_.has(run, one.digest) && !store_.whole_text(run, one.digest, one.bytes_max)) {
      store_.forget(run, one.digest);
    }
    auto got = get(one);
    if (auto given = store_.keep(run, std::exchange(whole_, {})); !given) {
      return given;
    }
    if (!got) {
      return error{got.error().code(), name_of(each) + ": " + got.error().text()};
    }
  }
  give_up(attempt);
  return {};
}

// --- putting -------------------------------------------------------------------------------------

result<void> artifact_delivery::place(std::string_view run, artifact_sources sources, int workspace,
                                      const std::function<bool()>& wanted) const {
  placements all;
  std::uint64_t bytes = 0;
  for (auto source : sources) {
    const auto whose = text_of_source(source);
    const auto task = text_of(source.getArtifact().getTask());
    auto files = list_of(run, text_of(source.getArtifact().getDigest()));
    if (!files) {
      return error{files.error().code(), whose + ": " + files.error().text()};
    }
    const auto folder = text_of(source.getFolder());
    for (auto& each : *files) {
      auto path = folder.empty() ? each.path : folder + "/" + each.path;
      const auto [at, is_fresh] = all.try_emplace(std::move(path), placement{each, whose, task});
      if (!is_fresh && at->second.task != task) {
        return both(at->first, at->second.source, whose);
      }
      bytes += is_fresh ? each.size : 0;
    }
    if (all.size() > taken_files_max) {
      return error{errc::too_large, "what it takes has more than " +
                                        std::to_string(taken_files_max) +
                                        " files together; pack them, or take fewer"};
    }
  }
  if (auto apart = check_directories(all); !apart) {
    return apart;
  }
  if (const auto room = store_.check_room(bytes); !room) {
    return error{room.error().code(), "what it takes has " + format_amount("memory", bytes) + ": " +
                                          room.error().text()};
  }
  const look goes_on = [&] {
    return wanted() ? store_.check_room() : error{errc::cancelled, "it is wanted no more"};
  };
  let_change(workspace);
  for (const auto& [path, one] : all) {
    if (auto allowed = goes_on(); !allowed) {
      return allowed;
    }
    const auto blob = store_.open_blob(run, one.file.digest);
    auto placed = blob ? place_file(workspace, path, blob->get(), one.file.executable, goes_on)
                       : result<void>{blob.error()};
    if (!placed) {
      return error{placed.error().code(),
                   "'" + shown_name(path) + "' of " + one.source + ": " + placed.error().text()};
    }
  }
  return {};
}

}  // namespace millrace::actors
