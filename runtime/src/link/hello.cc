// SPDX-License-Identifier: MIT
#include "link/hello.h"

#include <capnp/serialize.h>
#include <kj/exception.h>

#include <algorithm>

#include "link/frame.h"
#include "message_bytes.h"
#include "millrace/link.capnp.h"

namespace millrace::runtime {
namespace {

constexpr std::size_t cluster_id_bytes_max = 256;

error bad(const std::string& why) {
  return {errc::invalid_argument, "the hello " + why};
}

result<link_hello> checked(schemas::LinkHello::Reader read) {
  link_hello said;
  said.from = {.cluster_id = text_of(read.getClusterId()),
               .name = {.name = text_of(read.getName())},
               .incarnation = read.getIncarnation(),
               .version_min = read.getVersionMin(),
               .version_max = read.getVersionMax()};
  switch (read.getRole()) {
    case schemas::LinkRole::SILO:
      said.from.name.role = link_role::silo;
      break;
    case schemas::LinkRole::GATEWAY:
      said.from.name.role = link_role::gateway;
      break;
    default:
      return bad("is of a role that this version does not know");
  }
  if (!is_link_name(said.from.name.name)) {
    return bad("has no name in it");
  }
  if (said.from.cluster_id.size() > cluster_id_bytes_max) {
    return bad("has too long a cluster id");
  }
  if (said.from.incarnation == 0) {
    return bad("has no incarnation in it");
  }
  said.connection = read.getConnection();
  said.session = read.getSession();
  const auto lanes = read.getLanes();
  for (unsigned at = 0; at < std::min<std::size_t>(lanes.size(), link_lane_count); ++at) {
    said.lanes[at] = {lanes[at].getReceived(), lanes[at].getCredit()};
  }
  said.message_bytes_max = read.getMessageBytesMax();
  return said;
}

}  // namespace

void append_hello(std::string& out, const link_hello& said) {
  capnp::MallocMessageBuilder message;
  auto build = message.initRoot<schemas::LinkHello>();
  build.setClusterId(said.from.cluster_id);
  build.setVersionMin(said.from.version_min);
  build.setVersionMax(said.from.version_max);
  build.setRole(said.from.name.role == link_role::silo ? schemas::LinkRole::SILO
                                                       : schemas::LinkRole::GATEWAY);
  build.setName(said.from.name.name);
  build.setIncarnation(said.from.incarnation);
  build.setConnection(said.connection);
  build.setSession(said.session);
  auto lanes = build.initLanes(link_lane_count);
  for (unsigned at = 0; at < link_lane_count; ++at) {
    lanes[at].setReceived(said.lanes[at].received);
    lanes[at].setCredit(said.lanes[at].credit);
  }
  build.setMessageBytesMax(said.message_bytes_max);
  const auto bytes = framed_bytes(message);
  append_frame(out, {.type = frame_type::hello, .body = bytes});
}

result<link_hello> read_hello(std::string_view body) {
  if (body.size() > hello_bytes_max || body.size() % sizeof(capnp::word) != 0) {
    return bad("has a length that none has");
  }
  const auto words = words_of(body);
  try {
    capnp::FlatArrayMessageReader reader{words, {.traversalLimitInWords = hello_bytes_max}};
    return checked(reader.getRoot<schemas::LinkHello>());
  } catch (const kj::Exception& thrown) {
    return bad("is damaged: " + std::string{thrown.getDescription().cStr()});
  }
}

result<std::uint16_t> agree(const link_identity& here, const link_identity& there) {
  if (here.cluster_id != there.cluster_id) {
    return error{errc::failed_precondition, there.name.to_string() + " is of the cluster '" +
                                                there.cluster_id + "', " + here.name.to_string() +
                                                " of '" + here.cluster_id + "'"};
  }
  const auto newest = std::min(here.version_max, there.version_max);
  if (newest < std::max(here.version_min, there.version_min)) {
    const auto range = [](const link_identity& of) {
      return of.name.to_string() + " speaks versions " + std::to_string(of.version_min) + " to " +
             std::to_string(of.version_max) + " of the link protocol";
    };
    const auto& older = here.version_max < there.version_max ? here : there;
    return error{errc::failed_precondition,
                 range(here) + ", " + range(there) + ": upgrade " + older.name.to_string()};
  }
  return newest;
}

}  // namespace millrace::runtime
