// SPDX-License-Identifier: MIT
// Storage warnings: what a storage has to tell an operator while it works.
//
// It is opened before the silo whose `silo_options::warn` says where lines go, and looks through
// its rows from then on.
#pragma once

#include <functional>
#include <string>

namespace millrace::runtime {

/// What a storage may be besides. Threading: any.
class storage_warnings {
public:
  storage_warnings() = default;
  storage_warnings(const storage_warnings&) = delete;
  storage_warnings& operator=(const storage_warnings&) = delete;

  /// Has lines (a fixed phrase and `key=value`) go to `to`, first those that there are. Those that
  /// nobody has asked for go to standard error when the storage stops. Requires: `to` may be called
  /// from any thread until the storage has stopped, and asks the storage for nothing.
  virtual void warn_by(std::function<void(const std::string&)> to) = 0;

protected:
  ~storage_warnings() = default;
};

}  // namespace millrace::runtime
