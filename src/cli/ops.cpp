// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>

#include "cli/arguments.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
  return text;
}

void print(const OperatorInfo& op) {
  std::printf("%s: %s\n", op.name.c_str(), op.doc.c_str());
  if (!op.types.empty()) std::printf("  types: %s\n", op.types.c_str());
  std::printf("  sharding: %s\n  implementations: %s\n", op.sharding.c_str(),
              joined(op.implementations).c_str());
  for (const auto& attribute : op.attributes)
    std::printf("  %s = %s: %s\n", attribute.name.c_str(), attribute.default_value.c_str(),
                attribute.doc.c_str());
}

int ops(const Arguments& arguments) {
  const std::vector<OperatorInfo> all = operators();
  for (const std::string& name : arguments.words()) {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const OperatorInfo& op) { return op.name == name; });
    if (found == all.end())
      throw UsageError("operator " + name + " is not known; tutti ops lists all");
    print(*found);
  }
  if (arguments.words().empty())
    for (const OperatorInfo& op : all) print(op);
  return 0;
}

}  // namespace

Command ops_command() {
  return {"ops",
          "ops [NAME]...",
          "Lists operators: attributes with their defaults, types, sharding, implementations.",
          "",
          {},
          ops};
}

}  // namespace tutti::cli
