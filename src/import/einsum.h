// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "import/emitter.h"

namespace tutti {

/// Einstein's sum convention as torch.einsum reads it: "bik,bkj->bij", "...ij->...ji", without the
/// arrow the letters that occur once in order. Operands of one type are multiplied from left to
/// right by matrix products.
///
/// Throws invalid_argument for an equation that does not fit the operands, unsupported for a letter
/// twice in one operand.
ValueId einsum(Emitter& e, std::string_view equation, std::vector<ValueId> operands);

}  // namespace tutti
