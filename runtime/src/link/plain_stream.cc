// SPDX-License-Identifier: MIT
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "millrace/runtime/byte_stream.h"

namespace millrace::runtime {
namespace {

class plain final : public byte_stream {
public:
  explicit plain(int socket) noexcept : socket_(socket) {}

  stream_step handshake() override { return {}; }

  stream_step read(char* to, std::size_t size) override {
    const auto count = ::recv(socket_, to, size, MSG_DONTWAIT);
    if (count > 0) {
      const auto bytes = static_cast<std::size_t>(count);
      return {.bytes = bytes, .is_drained = bytes < size};
    }
    if (count == 0) {
      return {.now = stream_step::state::ended,
              .why = "the other end closed the connection",
              .end = stream_end::closed};
    }
    return failed(stream_step::state::wants_read);
  }

  stream_step write(std::string_view bytes) override {
    const auto count = ::send(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
      return {.bytes = static_cast<std::size_t>(count)};
    }
    return failed(stream_step::state::wants_write);
  }

  void finish() override { ::shutdown(socket_, SHUT_WR); }

  bool is_peer(const link_name& /*name*/) const override { return true; }

private:
  static stream_step failed(stream_step::state waits) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
      return {.now = waits, .is_drained = true};
    }
    return {.now = stream_step::state::ended, .why = std::strerror(errno)};
  }

  int socket_;
};

}  // namespace

std::unique_ptr<byte_stream> plain_stream(int socket) {
  return std::make_unique<plain>(socket);
}

}  // namespace millrace::runtime
