// SPDX-License-Identifier: MIT
// Row codec: steps through the encoded puts and deletes of one commit (see `row_ops`).
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::runtime {

/// Whether an operation writes or removes its row. The numbers are part of the disk contract.
enum class row_op_kind : std::uint8_t { put = 1, erase = 2 };

/// One decoded operation; views into the encoding.
struct row_op {
  row_op_kind kind = row_op_kind::put;
  std::string_view key;
  std::string_view value;  ///< Empty for an erase.
};

/// A position in an encoding.
///
/// Ownership: the encoding must outlive the cursor and the operations it hands out.
class row_op_cursor {
public:
  explicit row_op_cursor(std::string_view encoded) noexcept : rest_(encoded) {}

  /// Decodes the next operation into `op`. False at the end, and at the first byte that does not
  /// decode; `well_formed` tells the two apart.
  [[nodiscard]] bool next(row_op& op) noexcept;

  [[nodiscard]] bool well_formed() const noexcept { return well_formed_; }

private:
  std::string_view rest_;
  bool well_formed_ = true;
};

}  // namespace millrace::runtime
