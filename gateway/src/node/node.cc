// SPDX-License-Identifier: MIT
#include "node/node.h"

#include <sys/stat.h>

#include <cerrno>

namespace millrace::gateway {

using runtime::result;

result<std::unique_ptr<node>> node::open(const node_options& options) {
  std::error_code failed;
  auto data = std::filesystem::absolute(options.data_directory, failed).lexically_normal();
  if (!data.has_filename()) {
    data = data.parent_path();  // it ended with a slash
  }
  if (!failed) {
    std::filesystem::create_directories(data.parent_path(), failed);
  }
  // For its owner only: what tasks write may be secret. One that is there stays as it is.
  if (!failed && ::mkdir(data.c_str(), 0700) != 0) {
    const std::error_code refused{errno, std::generic_category()};
    std::error_code unknown;
    failed = std::filesystem::is_directory(data, unknown) ? std::error_code{} : refused;
  }
  if (failed) {
    return runtime::error{runtime::errc::invalid_argument, "cannot make the data directory '" +
                                                               options.data_directory.string() +
                                                               "': " + failed.message()};
  }
  runtime::storage_options rows;
  rows.directory = (data / "state").string();
  auto opened = runtime::open_storage(rows);
  if (!opened) {
    return std::move(opened).error();
  }
  std::unique_ptr<node> made{new node};
  made->silo_ = std::make_unique<runtime::silo>(*std::move(opened), options.silo);
  auto host = actors::pipeline_host::open({.data_directory = data,
                                           .slots = options.slots,
                                           .retention = options.retention,
                                           .warn = options.warn},
                                          *made->silo_);
  if (!host) {
    return std::move(host).error();
  }
  made->host_ = *std::move(host);
  made->data_ = std::move(data);
  if (auto started = made->silo_->start(); !started) {
    return std::move(started).error();
  }
  if (auto joined = made->host_->join(); !joined) {
    return std::move(joined).error();
  }
  return made;
}

node::~node() {
  stop();
}

void node::stop() {
  if (host_) {
    host_->stop();
  }
  if (silo_) {
    silo_->stop();
  }
}

}  // namespace millrace::gateway
