// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <exception>

#include "cli/arguments.h"
#include "cli/terminal.h"
#include "tutti/tutti.h"

namespace tutti::cli {
namespace {

constexpr int kFailure = 2;  // of usage, files and models; 1 is a failed comparison

std::vector<Command> commands() {
  return {build_command(), run_command(),    inspect_command(), bench_command(),
          ops_command(),   doctor_command(), launch_command()};
}

std::string overview() {
  std::string text =
      "tutti compiles a neural network once and runs it fast.\n\nusage: tutti COMMAND ...\n\n";
  for (const Command& command : commands()) {
    std::string name = "  " + command.name;
    name.append(11 - name.size(), ' ');
    text += name + command.summary.substr(0, command.summary.find('\n')) + "\n";
  }
  return text + "\ntutti COMMAND --help tells more; tutti --version the version.\n";
}

int run(const std::vector<std::string>& line) {
  if (line.empty() || line[0] == "--help" || line[0] == "-h" || line[0] == "help") {
    std::fputs(overview().c_str(), line.empty() ? stderr : stdout);
    return line.empty() ? kFailure : 0;
  }
  if (line[0] == "--version") {
    std::printf("tutti %s\n", std::string(version()).c_str());
    return 0;
  }
  std::string known;
  for (const Command& command : commands()) {
    known += (known.empty() ? "" : ", ") + command.name;
    if (command.name != line[0]) continue;
    const Arguments arguments(std::span<const std::string>(line).subspan(1), command.options,
                              command.program_follows);
    if (!arguments.has("--help")) return command.run(arguments);
    std::fputs(help(command).c_str(), stdout);
    return 0;
  }
  throw UsageError("command " + line[0] + " is not known; there are: " + known);
}

}  // namespace
}  // namespace tutti::cli

int main(int argc, char** argv) {
  try {
    tutti::cli::log_to_stderr(tutti::LogLevel::info);
    return tutti::cli::run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tutti: %s\n", error.what());
    return tutti::cli::kFailure;
  }
}
