// SPDX-License-Identifier: MIT
#include "cli/manual.h"

#include "cli/layers.h"
#include "version.h"

namespace millrace::gateway::cli {

namespace {

namespace po = boost::program_options;

// As text for man, which reads lines that begin with a full stop, and backslashes.
std::string plain(std::string_view text) {
  std::string made;
  bool begins = true;
  for (const char each : text) {
    if (begins && (each == '.' || each == '\'')) {
      made += "\\&";
    }
    begins = each == '\n';
    if (each == '\\') {
      made += "\\e";
    } else if (each == '-') {
      made += "\\-";
    } else {
      made += each;
    }
  }
  return made;
}

std::string title(std::string_view name, std::string_view section) {
  return ".\\\" Made from the table of commands; see gateway/src/cli/manual.h.\n.TH " +
         std::string{name} + " " + std::string{section} + " \"\" \"millrace " +
         std::string{version_text} + "\"\n";
}

std::string as_typed(std::string_view lines) {
  return ".PP\n.nf\n" + plain(lines) + ".fi\n";
}

std::string bold(std::string_view text) {
  return "\\fB" + plain(text) + "\\fR";
}

std::string italic(std::string_view text) {
  return "\\fI" + plain(text) + "\\fR";
}

std::string options_of(const command& one) {
  po::options_description options;
  one.add_options(options);
  std::string made;
  for (const auto& each : options.options()) {
    const auto brief = each->canonical_display_name(po::command_line_style::allow_dash_for_short);
    made += ".TP\n" + (brief.starts_with('-') ? bold(brief) + ", " : std::string{}) +
            bold("--" + each->long_name());
    if (each->semantic()->max_tokens() > 0) {
      made += " " + italic(each->format_parameter());
    }
    made += "\n" + plain(each->description()) + "\n";
  }
  return made;
}

}  // namespace

std::string program_manual(const std::vector<command>& commands, const program_words& words) {
  auto made = title("MILLRACE", "1");
  made += ".SH NAME\nmillrace \\- " + plain(words.summary) + "\n";
  made += ".SH SYNOPSIS\n" + bold("millrace") + " " + italic("COMMAND") + " [" +
          italic("ARGUMENTS") + "]\n";
  made += ".SH EXAMPLES\n" + as_typed(words.examples);
  made += ".SH COMMANDS\nEach of them also takes " + bold("--help") + ".\n";
  for (const auto& each : commands) {
    made += ".SS " + std::string{each.name} + "\n" + bold("millrace " + std::string{each.name});
    made += each.arguments.empty() ? "\n" : " " + italic(each.arguments) + "\n";
    made += ".PP\n" + plain(each.summary) + ".\n" + as_typed(each.examples) + options_of(each);
  }
  made += ".SH EXIT STATUS\n" + plain(words.exit_codes);
  made += ".SH SEE ALSO\n.BR millrace.yaml (5)\n";
  return made;
}

std::string settings_manual(const std::vector<command>& commands) {
  auto made = title("MILLRACE.YAML", "5");
  made +=
      ".SH NAME\nmillrace.yaml \\- settings of millrace's servers\n"
      ".SH DESCRIPTION\nA YAML map. A name is that of an option of the command, without the "
      "dashes; a value is a text, a list for an option that may be repeated, or true or false "
      "for one without a value:\n";
  made += as_typed("name: a\nlabel: [gpu, zone=attic]\nplain-links: true\n");
  made += ".PP\nThe command line goes before the environment, where " + italic("plain-links") +
          " is " + italic("MILLRACE_PLAIN_LINKS") +
          ", and that before the file. What is no setting is " + "refused, with its line. " +
          bold("millrace config view") +
          " shows what is in force, and where it comes from.\n.SH SETTINGS\n";
  for (const auto& each : commands) {
    if (!has_settings(each)) {
      continue;
    }
    po::options_description options;
    each.add_options(options);
    made += ".SS millrace " + std::string{each.name} + "\n";
    for (const auto& option : options.options()) {
      const bool has_value = option->semantic()->max_tokens() > 0;
      if (is_setting(option->long_name())) {
        made += ".TP\n" + bold(option->long_name() + ":") + " " +
                (has_value ? italic(option->format_parameter()) : "true") + "\n" +
                plain(option->description()) + "\n";
      }
    }
  }
  made +=
      ".SH FILES\n"
      ".TP\n.I /etc/millrace/millrace.yaml\nof millrace.service\n"
      ".TP\n.I /etc/millrace/silo.yaml\nof millrace\\-silo.service\n"
      ".TP\n.I /etc/millrace/gateway.yaml\nof millrace\\-gateway.service\n"
      ".SH SEE ALSO\n.BR millrace (1)\n";
  return made;
}

}  // namespace millrace::gateway::cli
