// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "import/json.h"

namespace tutti::pt2 {

/// The paths of the leaves of a pytree, in order: the indices and keys that lead to each, joined by
/// dots, after `root`. A leaf at the top is `root` itself.
///
/// `spec` is the JSON string that torch.utils._pytree.treespec_dumps wrote; `namedtuple_fields` the
/// program's treespec_namedtuple_fields, where it has them. Throws corrupt when it is none.
std::vector<std::string> leaf_paths(const Json& spec, const std::optional<Json>& namedtuple_fields,
                                    const std::string& root);

/// As leaf_paths, for the tree of a call's (args, kwargs): the first part of a path is the name of
/// an argument, from `argument_names` for positional ones.
std::vector<std::string> call_paths(const Json& spec, const std::optional<Json>& namedtuple_fields,
                                    const std::vector<std::string_view>& argument_names);

}  // namespace tutti::pt2
