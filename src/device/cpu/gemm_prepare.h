// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/cpu/gemm_recipe.h"

namespace tutti::cpu {

/// Checks a problem and decides everything that does not depend on pointers. With a source, A or B
/// comes from there: of its layout only dtype and batch_strides are read.
GemmRecipe prepare_gemm(const GemmProblem& problem, int threads, Isa isa,
                        const GemmSource& source = {});

/// Bytes of the scratch memory of all threads.
size_t scratch_bytes(const GemmRecipe& recipe);

void run_recipe(const GemmRecipe& recipe, const GemmArgs& args, void* workspace, Pool& pool);

}  // namespace tutti::cpu
