// SPDX-License-Identifier: Apache-2.0
#include "ops/decompose.h"

#include "compile/pass.h"

namespace tutti {

bool decompose(Compilation& c) {
  return c.options.fuse && decompose(c.function, [](const Node&) { return true; });
}

}  // namespace tutti
