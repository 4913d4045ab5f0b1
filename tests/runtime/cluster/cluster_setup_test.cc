// SPDX-License-Identifier: MIT
#include "cluster/cluster_setup.h"

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <string>

#include "millrace/runtime/cluster_address.h"

namespace millrace::runtime {
namespace {

using namespace std::chrono_literals;

silo_options good() {
  silo_options options;
  options.name = "a";
  options.cluster.emplace();
  options.cluster->coordination = "local:/tmp/cluster";
  return options;
}

// What is wrong with options that have been changed so; empty: nothing.
std::string wrong_with(const std::function<void(silo_options&, cluster_options&)>& change) {
  auto options = good();
  change(options, *options.cluster);
  const auto checked = check_cluster_options(options);
  if (checked) {
    return "";
  }
  CHECK(checked.error().code() == errc::invalid_argument);
  return checked.error().text();
}

TEST_CASE("options of a cluster that cannot be are refused, with what to do") {
  using one = silo_options;
  using all = cluster_options;
  CHECK(wrong_with([](one&, all&) {}).empty());
  const auto names = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  CHECK(names(wrong_with([](one& silo, all&) { silo.name = "a b"; }), "'a b'"));
  CHECK(names(wrong_with([](one& silo, all&) { silo.by_hand = true; }), "by hand"));
  CHECK(names(wrong_with([](one&, all& of) { of.coordination = ""; }), "coordination"));
  CHECK(names(wrong_with([](one&, all& of) { of.coordination = "local:"; }), "directory"));
  CHECK(names(wrong_with([](one&, all& of) { of.coordination = "zookeeper"; }), "coordination"));
  CHECK(names(wrong_with([](one&, all& of) { of.coordination = "http://e:1,x"; }), "'x'"));
  CHECK(wrong_with([](one&, all& of) { of.coordination = "http://e:1,https://f:2"; }).empty());
  CHECK(names(wrong_with([](one&, all& of) {
                of.coordination = "http://e:1";
                of.session_ttl = 1s;
              }),
              "session_ttl"));
  CHECK(names(wrong_with([](one&, all& of) { of.roles = {}; }), "roles"));
  CHECK(names(wrong_with([](one&, all& of) { of.copies = 0; }), "copies"));
  CHECK(names(wrong_with([](one&, all& of) { of.copies = 8; }), "copies"));
  CHECK(names(wrong_with([](one&, all& of) { of.join_within = 0s; }), "join_within"));
  CHECK(names(wrong_with([](one&, all& of) { of.listen_address = ""; }), "listen_address"));
  CHECK(names(wrong_with([](one&, all& of) { of.listen_address = "0.0.0.0"; }), "advertised"));
  CHECK(wrong_with([](one&, all& of) {
          of.listen_address = "0.0.0.0";
          of.advertised_address = "silo-1.example";
        }).empty());
  CHECK(names(wrong_with([](one&, all& of) { of.advertised_address = "h:0"; }), "h:0"));
  CHECK(names(wrong_with([](one&, all& of) {
                of.certificates = {"ca.pem", "", ""};
              }),
              "certificates"));
}

TEST_CASE("an address is a host and a port") {
  CHECK(*split_address("h:1") == std::pair<std::string, std::uint16_t>{"h", 1});
  CHECK(*split_address("[::1]:8401") == std::pair<std::string, std::uint16_t>{"::1", 8401});
  for (const auto* bad : {"", "h", "h:", ":1", "h:x", "h:0", "h:65536", "h:1 "}) {
    CHECK_FALSE(split_address(bad));
  }
  cluster_options cluster;
  CHECK(advertised_address(cluster, 7) == "127.0.0.1:7");
  cluster.listen_address = "::1";
  CHECK(advertised_address(cluster, 7) == "[::1]:7");
  cluster.advertised_address = "h";
  CHECK(advertised_address(cluster, 7) == "h:7");
  cluster.advertised_address = "h:8";
  CHECK(advertised_address(cluster, 7) == "h:8");
  cluster.advertised_address = "[fe80::1]";
  CHECK(advertised_address(cluster, 7) == "[fe80::1]:7");
}

TEST_CASE("the host of an address has neither port nor brackets") {
  cluster_options cluster;
  CHECK(advertised_host(cluster) == "127.0.0.1");
  cluster.listen_address = "fd00::7";
  CHECK(advertised_host(cluster) == "fd00::7");
  for (const auto& [told, host] :
       std::map<std::string, std::string>{{"silo-1.example", "silo-1.example"},
                                          {"h:8401", "h"},
                                          {"[fd00::7]", "fd00::7"},
                                          {"[fd00::7]:8401", "fd00::7"},
                                          {"fd00::7:8401", "fd00::7"}}) {
    cluster.advertised_address = told;
    CHECK(advertised_host(cluster) == host);
  }
}

TEST_CASE("a gateway that is nothing else has that name on links, and listens nowhere") {
  auto options = good();
  CHECK(links_of(options, "c", 5).listen_address == "127.0.0.1");
  CHECK(links_of(options, "c", 5).self.name == link_name{link_role::silo, "a"});
  options.cluster->roles = {.gateway = true};
  CHECK(links_of(options, "c", 5).listen_address.empty());
  CHECK(links_of(options, "c", 5).self.name == link_name{link_role::gateway, "a"});
  CHECK(links_of(options, "c", 5).self.incarnation == 5);
}

}  // namespace
}  // namespace millrace::runtime
