// SPDX-License-Identifier: MIT
#include "cli/completion.h"

namespace millrace::gateway::cli {

namespace {

namespace po = boost::program_options;

std::string bash_completion(const std::vector<command>& commands) {
  std::string names = "help";
  std::string cases;
  for (const auto& each : commands) {
    names += " " + std::string{each.name};
    boost::program_options::options_description options;
    each.add_options(options);
    cases += "    " + std::string{each.name} + ") options='--help";
    for (const auto& option : options.options()) {
      cases += " --" + option->long_name();
    }
    cases += "' ;;\n";
  }
  return "_millrace() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} options=\n"
         "  case ${COMP_WORDS[1]} in\n" +
         cases +
         "  esac\n"
         "  if ((COMP_CWORD == 1)); then\n"
         "    COMPREPLY=($(compgen -W '" +
         names +
         "' -- \"$word\"))\n"
         "  elif [[ $word == -* ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
         "  else\n"
         "    COMPREPLY=()\n"
         "  fi\n"
         "}\n"
         "complete -o default -F _millrace millrace\n";
}

// With a backslash before each of `special`.
std::string escaped(std::string_view text, std::string_view special) {
  std::string made;
  for (const char each : text) {
    if (special.find(each) != std::string_view::npos) {
      made += '\\';
    }
    made += each == '\n' ? ' ' : each;
  }
  return made;
}

// Between quotes of zsh, where nothing but the quote itself ends them.
std::string zsh_quoted(const std::string& text) {
  std::string made = "'";
  for (const char each : text) {
    made += each == '\'' ? std::string{"'\\''"} : std::string{each};
  }
  return made + "'";
}

std::string short_name_of(const po::option_description& option) {
  const auto name = option.canonical_display_name(po::command_line_style::allow_dash_for_short);
  return name.starts_with('-') ? name : "";
}

std::string zsh_completion(const std::vector<command>& commands) {
  std::string names;
  std::string cases;
  for (const auto& each : commands) {
    const std::string name{each.name};
    names += "    " + zsh_quoted(name + ":" + escaped(each.summary, ":\\")) + "\n";
    po::options_description options;
    each.add_options(options);
    cases += "    " + name + ")\n      _arguments -S '--help[print its help]'";
    for (const auto& option : options.options()) {
      const auto told = "[" + escaped(option->description(), "[]:\\") + "]" +
                        (option->semantic()->max_tokens() > 0
                             ? ":" + escaped(option->format_parameter(), ":\\") + ":_files"
                             : "");
      for (const auto& word : {"--" + option->long_name(), short_name_of(*option)}) {
        if (!word.empty()) {
          cases.append(" \\\n        ")
              .append(zsh_quoted(std::string{"*"}.append(word).append(told)));
        }
      }
    }
    cases += " \\\n        '*:file:_files' ;;\n";
  }
  return "#compdef millrace\n"
         "_millrace() {\n"
         "  local -a commands=(\n    'help:tell what there is'\n" +
         names +
         "  )\n"
         "  if ((CURRENT == 2)); then\n"
         "    _describe command commands\n"
         "    return\n"
         "  fi\n"
         "  shift words\n"
         "  ((CURRENT--))\n"
         "  case $words[1] in\n" +
         cases +
         "  esac\n"
         "}\n"
         "if [ \"$funcstack[1]\" = _millrace ]; then\n"
         "  _millrace \"$@\"\n"
         "else\n"
         "  compdef _millrace millrace\n"
         "fi\n";
}

std::string fish_completion(const std::vector<command>& commands) {
  const auto quoted = [](std::string_view text) { return "'" + escaped(text, "'\\") + "'"; };
  std::string made =
      "function __millrace_command\n"
      "  set -l words (commandline -opc)\n"
      "  test (count $words) -ge 2; and test $words[2] = $argv[1]\n"
      "end\n"
      "complete -c millrace -n __fish_use_subcommand -f -a help -d 'tell what there is'\n";
  for (const auto& each : commands) {
    const std::string name{each.name};
    made += "complete -c millrace -n __fish_use_subcommand -f -a " + name + " -d " +
            quoted(each.summary) + "\n";
    po::options_description options;
    each.add_options(options);
    for (const auto& option : options.options()) {
      made += "complete -c millrace -n '__millrace_command " + name + "' -l " + option->long_name();
      if (const auto brief = short_name_of(*option); !brief.empty()) {
        made += " -s " + brief.substr(1);
      }
      made += (option->semantic()->max_tokens() > 0 ? " -r -d " : " -d ") +
              quoted(option->description()) + "\n";
    }
  }
  return made;
}

}  // namespace

std::optional<std::string> completion(std::string_view shell,
                                      const std::vector<command>& commands) {
  if (shell == "bash") {
    return bash_completion(commands);
  }
  if (shell == "zsh") {
    return zsh_completion(commands);
  }
  if (shell == "fish") {
    return fish_completion(commands);
  }
  return std::nullopt;
}

}  // namespace millrace::gateway::cli
