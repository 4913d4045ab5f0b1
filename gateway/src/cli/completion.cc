// SPDX-License-Identifier: MIT
#include "cli/completion.h"

namespace millrace::gateway::cli {

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

}  // namespace millrace::gateway::cli
