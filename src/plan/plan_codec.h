// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "plan/byte_stream.h"
#include "plan/plan.h"

namespace tutti {

/// Held inputs and plans of a program as bytes; docs/engine_file.md gives the layout.
std::string encode_plans(const Program& program);

/// Fills held inputs and plans. What they say is well-formed, but not yet checked against the
/// graph: check_plan does that. Throws corrupt; what making an operator throws.
void decode_plans(ByteReader& in, Program& program);

}  // namespace tutti
