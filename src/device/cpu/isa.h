// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

namespace tutti::cpu {

/// Instruction sets for which files named x_isa.cpp are compiled. `portable` is the architecture's
/// baseline: the only one off x86-64. Code of one set lives in the namespace of that name.
enum class Isa { portable, avx2, avx512 };

inline constexpr int kIsaCount = 3;

#if defined(__x86_64__)
inline constexpr bool kIsX86 = true;
#else
inline constexpr bool kIsX86 = false;
#endif

/// "portable", "avx2" or "avx512".
std::string_view to_string(Isa isa);

/// The set of that name, or nothing.
std::optional<Isa> parse_isa(std::string_view name);

/// Whether this machine runs code of that set.
bool is_supported(Isa isa);

/// The widest set this machine runs.
Isa best_isa();

/// The set in use: best_isa() until set_isa is called.
Isa current_isa();

/// Chooses the set for what is prepared from now on. Throws unsupported when the machine lacks it.
void set_isa(Isa isa);

}  // namespace tutti::cpu
