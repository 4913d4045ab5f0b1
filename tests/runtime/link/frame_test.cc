// SPDX-License-Identifier: MIT
#include "link/frame.h"

#include <doctest/doctest.h>

#include <string>

#include "byte_order.h"
#include "link/hello.h"

namespace millrace::runtime {
namespace {

std::string head(std::uint32_t size, std::uint8_t type, std::uint8_t lane = 0) {
  std::string bytes(frame_head_bytes, '\0');
  store_little(bytes.data(), size);
  store_little(bytes.data() + 4, type);
  store_little(bytes.data() + 5, lane);
  return bytes;
}

link_hello some_hello() {
  link_hello said{
      .from = {.cluster_id = "c", .name = {link_role::gateway, "g.1"}, .incarnation = 7},
      .connection = 3,
      .session = 9};
  said.lanes[1] = {4, 5};
  return said;
}

}  // namespace

TEST_CASE("a frame is read as it was written, once all of it is there") {
  const std::string body(100, 'b');
  std::string bytes;
  append_frame(bytes, {frame_type::message, link_lane::bulk, 513, 1ULL << 40U, body});
  append_frame(bytes, {.type = frame_type::alive});
  frame one;
  for (std::size_t size = 0; size < frame_head_bytes + body.size(); ++size) {
    const auto taken = read_frame(std::string_view{bytes}.substr(0, size), one);
    REQUIRE(taken);
    CHECK(*taken == 0);
  }
  const auto taken = read_frame(bytes, one);
  REQUIRE(taken);
  CHECK(*taken == frame_head_bytes + body.size());
  CHECK(one.type == frame_type::message);
  CHECK(one.lane == link_lane::bulk);
  CHECK(one.kind == 513);
  CHECK(one.number == 1ULL << 40U);
  CHECK(one.body == body);
  CHECK(read_frame(std::string_view{bytes}.substr(*taken), one).value() == frame_head_bytes);
}

TEST_CASE("a head that cannot be is refused before its body is there") {
  struct row {
    std::string bytes;
    const char* why;
  };
  for (const auto& [bytes, why] :
       {row{head(0, 0), "there is no frame of type 0"}, row{head(0, 7), "type 7"},
        row{head(0, 255), "type 255"}, row{head(0, 6, 3), "there is no lane 3"},
        row{head(piece_bytes_max + 1, 6), "cannot have 65521 bytes"},
        row{head(UINT32_MAX, 5), "cannot have 4294967295 bytes"},
        row{head(0, 5), "type 5 cannot have 0"}, row{head(1, 3), "type 3 cannot have 1"},
        row{head(7, 4), "type 4 cannot have 7"}, row{head(9, 4), "type 4 cannot have 9"},
        row{head(hello_bytes_max + 1, 1), "type 1 cannot have 4097"},
        row{head(goodbye_bytes_max + 1, 2), "type 2 cannot have 513"},
        row{"GET / HTTP/1.1\r\n", "there is no frame of type 47"}}) {
    CAPTURE(why);
    frame one;
    const auto taken = read_frame(bytes, one);
    REQUIRE_FALSE(taken);
    CHECK(taken.error().code() == errc::invalid_argument);
    CHECK(taken.error().text().find(why) != std::string::npos);
  }
}

TEST_CASE("a hello is read as it was written") {
  std::string bytes;
  append_hello(bytes, some_hello());
  frame one;
  REQUIRE(read_frame(bytes, one));
  CHECK(one.type == frame_type::hello);
  const auto read = read_hello(one.body);
  REQUIRE(read);
  CHECK(read->from.cluster_id == "c");
  CHECK(read->from.name == link_name{link_role::gateway, "g.1"});
  CHECK(read->from.incarnation == 7);
  CHECK(read->from.version_min == link_version_min);
  CHECK(read->from.version_max == link_version_max);
  CHECK(read->connection == 3);
  CHECK(read->session == 9);
  CHECK(read->lanes[0].received == 0);
  CHECK(read->lanes[1].received == 4);
  CHECK(read->lanes[1].credit == 5);
}

TEST_CASE("a hello that no honest end sends is refused") {
  const auto refused = [](link_hello said) {
    std::string bytes;
    append_hello(bytes, said);
    frame one;
    REQUIRE(read_frame(bytes, one));
    const auto read = read_hello(one.body);
    REQUIRE_FALSE(read);
    return read.error().text();
  };
  auto said = some_hello();
  said.from.name.name = "a/b";
  CHECK(refused(said) == "the hello has no name in it");
  said.from.name.name = std::string(link_name_bytes_max + 1, 'a');
  CHECK(refused(said) == "the hello has no name in it");
  said = some_hello();
  said.from.incarnation = 0;
  CHECK(refused(said) == "the hello has no incarnation in it");
  said = some_hello();
  said.from.cluster_id = std::string(257, 'c');
  CHECK(refused(said) == "the hello has too long a cluster id");
  for (const auto& body : {std::string(7, 'x'), std::string(64, '\xff'), std::string(8, '\0'),
                           std::string(hello_bytes_max + 8, '\0')}) {
    CHECK_FALSE(read_hello(body));
  }
}

TEST_CASE("two ends talk in the newest version that both speak, or say who has to be upgraded") {
  const auto end = [](const char* name, std::uint16_t least, std::uint16_t most) {
    return link_identity{.cluster_id = "c",
                         .name = {link_role::silo, name},
                         .version_min = least,
                         .version_max = most};
  };
  CHECK(agree(end("a", 1, 1), end("b", 1, 1)).value() == 1);
  CHECK(agree(end("a", 1, 3), end("b", 2, 5)).value() == 3);
  CHECK(agree(end("a", 4, 9), end("b", 2, 4)).value() == 4);
  const auto refused = agree(end("a", 2, 3), end("b", 1, 1));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::failed_precondition);
  CHECK(refused.error().text() ==
        "silo.a speaks versions 2 to 3 of the link protocol, silo.b speaks versions 1 to 1 of the "
        "link protocol: upgrade silo.b");
  CHECK(agree(end("a", 1, 1), end("b", 2, 3)).error().text().ends_with("upgrade silo.a"));
  auto other = end("b", 1, 1);
  other.cluster_id = "d";
  CHECK(agree(end("a", 1, 1), other).error().text() ==
        "silo.b is of the cluster 'd', silo.a of 'c'");
}

}  // namespace millrace::runtime
