// SPDX-License-Identifier: MIT
#include "http/trusted_proxies.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace millrace::gateway::http {

TEST_CASE("a request comes from the last address that no trusted proxy has") {
  const auto proxies = trusted_proxies::parse("10.0.0.0/8, 192.0.2.7,fd00:1::/33");
  REQUIRE(proxies);
  struct row {
    std::string peer;
    std::vector<const char*> fields;
    std::string client;
  };
  const row rows[] = {
      // Nobody else's word is taken.
      {"203.0.113.5", {"198.51.100.1"}, "203.0.113.5"},
      {"2001:db8::5", {"198.51.100.1"}, "2001:db8::5"},
      {"192.0.2.8", {"198.51.100.1"}, "192.0.2.8"},
      {"", {"198.51.100.1"}, ""},
      // A proxy's is; what stands before what it has added is not.
      {"10.1.2.3", {}, "10.1.2.3"},
      {"10.1.2.3", {"198.51.100.1"}, "198.51.100.1"},
      {"192.0.2.7", {"198.51.100.1"}, "198.51.100.1"},
      {"10.1.2.3", {"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
      {"10.1.2.3", {"10.9.9.9,198.51.100.1"}, "198.51.100.1"},
      {"10.1.2.3", {"rubbish, 198.51.100.1"}, "198.51.100.1"},
      // Several proxies, and several fields, which are one list.
      {"10.1.2.3", {"198.51.100.1, 192.0.2.7 ,\t10.3.3.3"}, "198.51.100.1"},
      {"10.1.2.3", {"1.1.1.1", "198.51.100.1, 10.3.3.3"}, "198.51.100.1"},
      {"10.1.2.3", {"198.51.100.1", "10.3.3.3"}, "198.51.100.1"},
      {"10.1.2.3", {"10.4.4.4, 10.5.5.5"}, "10.4.4.4"},
      // IPv6, and IPv4 as it is written there.
      {"fd00:1:7fff::1", {"2001:db8:0:0::9"}, "2001:db8::9"},
      {"fd00:1:8000::1", {"2001:db8::9"}, "fd00:1:8000::1"},
      {"::ffff:10.1.2.3", {"2001:db8::9"}, "2001:db8::9"},
      {"10.1.2.3", {"198.51.100.1, ::ffff:10.3.3.3"}, "198.51.100.1"},
      {"10.1.2.3", {"::ffff:198.51.100.1"}, "198.51.100.1"},
      // With a port.
      {"10.1.2.3", {"198.51.100.1:4711"}, "198.51.100.1"},
      {"10.1.2.3", {"[2001:db8::9]:4711"}, "2001:db8::9"},
      {"10.1.2.3", {"[2001:db8::9]"}, "2001:db8::9"},
      // What is no address is no word.
      {"10.1.2.3", {"rubbish"}, "10.1.2.3"},
      {"10.1.2.3", {""}, "10.1.2.3"},
      {"10.1.2.3", {"198.51.100.1,"}, "10.1.2.3"},
      {"10.1.2.3", {"198.51.100.1, unknown, 10.3.3.3"}, "10.1.2.3"},
      {"10.1.2.3", {"[2001:db8::9"}, "10.1.2.3"},
      {"10.1.2.3", {"198.51.100.1.2"}, "10.1.2.3"},
  };
  for (const auto& each : rows) {
    header_list headers;
    headers.add("Host", "here");
    for (const auto* field : each.fields) {
      headers.add("x-forwarded-for", field);
      headers.add("Accept", "*/*");
    }
    CAPTURE(each.peer);
    CAPTURE(each.client);
    CHECK(proxies->client_of(each.peer, headers) == each.client);
  }
}

TEST_CASE("without trusted proxies no field counts") {
  header_list headers;
  headers.add("X-Forwarded-For", "198.51.100.1");
  CHECK(trusted_proxies{}.client_of("10.1.2.3", headers) == "10.1.2.3");
  CHECK_FALSE(trusted_proxies{}.trusts("10.1.2.3"));
}

TEST_CASE("a network that holds everything, and one that holds one address") {
  for (const auto* all : {"0.0.0.0/0", "::/0"}) {
    CHECK(trusted_proxies::parse(all)->trusts("203.0.113.5"));
  }
  CHECK_FALSE(trusted_proxies::parse("0.0.0.0/0")->trusts("2001:db8::1"));
  CHECK(trusted_proxies::parse("fe80::1/128")->trusts("fe80::1%eth0"));
  CHECK_FALSE(trusted_proxies::parse("fe80::1")->trusts("fe80::2"));
}

TEST_CASE("what is no list of networks is refused, and named") {
  for (const std::string wrong : {"", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8x",
                                  "10.0.0/8", "::/129", "proxy", "fe80::1%eth0"}) {
    CAPTURE(wrong);
    const auto made = trusted_proxies::parse("192.0.2.7," + wrong);
    REQUIRE_FALSE(made);
    CHECK(made.error().text() ==
          "'" + wrong + "' is no network of addresses; write them like 10.0.0.0/8,fd00::/8");
  }
}

}  // namespace millrace::gateway::http
