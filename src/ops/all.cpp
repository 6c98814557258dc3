// SPDX-License-Identifier: Apache-2.0
#include "ops/all.h"

namespace tutti {

std::span<const OpDef> all_ops() {
  static const std::vector<OpDef> kOps = {};
  return kOps;
}

Op make_op(std::string_view name, const Attributes& attributes) {
  std::vector<std::string> names;
  for (const OpDef& def : all_ops()) {
    if (def.name == name) return def.parse(name, attributes);
    names.emplace_back(def.name);
  }
  fail(Errc::not_found, "operator ", name, " is not known; nearest: ",
       join_list(nearest_names(name, names)));
}

}  // namespace tutti
