// SPDX-License-Identifier: MIT
#include "process/failure.h"

#include <cerrno>
#include <system_error>

namespace millrace::actors::process_detail {

using runtime::errc;

std::string describe_errno(int error_number) {
  return std::generic_category().message(error_number);
}

runtime::error file_failure(const std::string& subject, int error_number) {
  const auto text = subject + ": " + describe_errno(error_number);
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return {errc::not_found, text};
    case ENOSPC:
    case EDQUOT:
      return {errc::out_of_space, "disk full: " + text + "; make room there"};
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return {errc::overloaded, text};
    default:
      return {errc::storage_failed, text};
  }
}

}  // namespace millrace::actors::process_detail
