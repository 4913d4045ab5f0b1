// SPDX-License-Identifier: MIT
// pki: the authority of a cluster, and certificates of its silos and gateways.
#include <iostream>

#include "cli/command.h"
#include "millrace/runtime/certificates.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

constexpr const char* pki_usage =
    "usage: millrace pki init --directory DIR | issue --directory DIR --silo NAME|--gateway NAME "
    "[--address HOST]...";

void add_pki_options(po::options_description& options) {
  options.add_options()("directory", po::value<std::string>()->value_name("DIR"),
                        "where the authority lies, and what it issues")(
      "silo", po::value<std::string>()->value_name("NAME"), "issue: for the silo of this name")(
      "gateway", po::value<std::string>()->value_name("NAME"),
      "issue: for the gateway of this name")(
      "address", po::value<std::vector<std::string>>()->value_name("HOST"),
      "issue: an address or host name that it also holds for\n(may be repeated)")(
      "days", po::value<std::string>()->value_name("N"),
      "valid for so many days (default: init 3650, issue 365)");
}

exit_code print(const runtime::result<runtime::certificate_files>& files) {
  if (!files) {
    return report(files.error());
  }
  std::cout << files->certificate << '\n' << files->key << '\n';
  return exit_code::ok;
}

exit_code issue(const option_values& options, const std::string& directory,
                std::chrono::days valid_for, runtime::wall_time now) {
  if (options.count("silo") + options.count("gateway") != 1) {
    return report(exit_code::usage, "issue: name one, with --silo NAME or --gateway NAME");
  }
  const bool is_silo = options.count("silo") > 0;
  runtime::certificate_request request{
      .name = {.role = is_silo ? runtime::link_role::silo : runtime::link_role::gateway,
               .name = text_of(options, is_silo ? "silo" : "gateway")},
      .valid_for = valid_for};
  if (options.count("address") > 0) {
    request.addresses = options["address"].as<std::vector<std::string>>();
  }
  return print(runtime::issue_certificate(directory, request, now));
}

exit_code run_pki(const option_values& options, const std::vector<std::string>& positional) {
  const auto& verb = positional[0];
  const bool issues = verb == "issue";
  if (!issues && verb != "init") {
    return report(exit_code::usage, pki_usage);
  }
  const auto directory = text_of(options, "directory");
  if (directory.empty()) {
    return report(exit_code::usage, "pki: name the authority's directory with --directory DIR");
  }
  const auto days_default =
      (issues ? runtime::certificate_valid_for : runtime::authority_valid_for).count();
  const auto days = number_of(options, "days", static_cast<std::uint32_t>(days_default),
                              static_cast<std::uint32_t>(runtime::valid_for_max.count()));
  if (!days) {
    return report(days.error());
  }
  const std::chrono::days valid_for{*days};
  const auto now = runtime::system_clock{}.wall();
  if (issues) {
    return issue(options, directory, valid_for, now);
  }
  if (const auto fits = refuse(options, {"silo", "gateway", "address"}, "pki init"); !fits) {
    return report(fits.error());
  }
  return print(runtime::make_authority(directory, valid_for, now));
}

}  // namespace

command pki_command() {
  return {"pki",
          "init --directory DIR | issue --directory DIR --silo NAME|--gateway NAME",
          "make a cluster's authority, and certificates of its silos and gateways",
          "  millrace pki init --directory pki\n"
          "  millrace pki issue --directory pki --silo a      pki/silo.a.pem and pki/silo.a.key\n"
          "  millrace pki issue --directory pki --gateway web --address www.example.org\n",
          1,
          1,
          add_pki_options,
          run_pki};
}

}  // namespace millrace::gateway::cli
