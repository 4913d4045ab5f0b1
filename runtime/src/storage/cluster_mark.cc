// SPDX-License-Identifier: MIT
#include "storage/cluster_mark.h"

#include <cerrno>
#include <cstdio>
#include <sstream>

#include "storage/files.h"

namespace millrace::runtime {
namespace {

constexpr std::string_view mark_magic = "millrace-cluster";
constexpr unsigned mark_version = 1;
constexpr std::size_t mark_bytes_max = 4096;

error no_mark(std::string what) {
  return error{errc::failed_precondition, std::move(what)};
}

}  // namespace

std::string cluster_mark_file(const std::string& directory) {
  return directory + "/CLUSTER";
}

std::string to_text(const cluster_mark& mark) {
  std::string text{mark_magic};
  text += "\nversion " + std::to_string(mark_version);
  text += "\ncluster_id " + mark.cluster_id;
  text += "\nsilo " + mark.silo;
  text += "\nincarnation " + std::to_string(mark.incarnation) + "\n";
  return text;
}

result<cluster_mark> parse_cluster_mark(const std::string& text) {
  std::istringstream in{text};
  std::string magic;
  std::string name;
  unsigned version = 0;
  if (!(in >> magic) || magic != mark_magic || !(in >> name >> version) || name != "version") {
    return no_mark("it names no cluster");
  }
  if (version != mark_version) {
    return no_mark("its version is " + std::to_string(version) + ", this build uses " +
                   std::to_string(mark_version) + "; use the build that made it");
  }
  cluster_mark mark;
  if (!(in >> name >> mark.cluster_id) || name != "cluster_id" || !(in >> name >> mark.silo) ||
      name != "silo" || !(in >> name >> mark.incarnation) || name != "incarnation") {
    return no_mark("it lacks a cluster id, a silo or an incarnation");
  }
  return mark;
}

result<std::optional<cluster_mark>> read_cluster_mark(const std::string& directory) {
  const auto text = read_file(cluster_mark_file(directory), mark_bytes_max);
  if (!text) {
    return text.error().code() == errc::not_found
               ? result<std::optional<cluster_mark>>{std::nullopt}
               : text.error();
  }
  auto mark = parse_cluster_mark(*text);
  return mark ? result{std::optional{*std::move(mark)}}
              : error{mark.error().code(),
                      cluster_mark_file(directory) + ": " + mark.error().text()};
}

result<void> write_cluster_mark(const std::string& directory, const cluster_mark& mark) {
  const auto file = cluster_mark_file(directory);
  if (auto written = write_file(file + ".tmp", to_text(mark)); !written) {
    return written;
  }
  if (std::rename((file + ".tmp").c_str(), file.c_str()) != 0) {
    return file_error(errno, "cannot name", file);
  }
  return sync_directory(directory);
}

}  // namespace millrace::runtime
