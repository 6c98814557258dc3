// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "cli/arguments.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

int doctor(const Arguments& arguments) {
  if (!arguments.words().empty()) throw UsageError("doctor: no argument is wanted");
  std::vector<std::vector<std::string>> rows = {{"what", "found"}};
  std::string advice;
  for (const SystemFact& fact : system_facts()) {
    rows.push_back({fact.name, fact.found});
    if (!fact.advice.empty()) advice += fact.name + ": " + fact.advice + "\n";
  }
  std::fputs(table(rows).c_str(), stdout);
  std::printf("\n%s", advice.empty() ? "Nothing is missing.\n" : advice.c_str());
  return 0;
}

}  // namespace

Command doctor_command() {
  return {
      "doctor",
      "doctor",
      "Shows what this machine has: CPU features, cores, memory, libraries and where they are,\n"
      "what each missing one costs and how to get it.",
      "",
      {},
      doctor};
}

}  // namespace tutti::cli
