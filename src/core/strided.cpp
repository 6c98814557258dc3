// SPDX-License-Identifier: Apache-2.0
#include "core/strided.h"

#include <cstring>

namespace tutti {
namespace {

template <class From, class To>
void copy_elements(const Dims& shape, const From* from, const Dims& from_strides, To* to,
                   const Dims& to_strides) {
  if (shape.empty()) {
    *to = convert<To>(*from);
    return;
  }
  Dims outer = shape, outer_from = from_strides, outer_to = to_strides;
  const int last = shape.rank() - 1;
  outer.erase(last), outer_from.erase(last), outer_to.erase(last);
  const int64_t n = shape[last], from_step = from_strides[last], to_step = to_strides[last];
  for_each_offset<2>(outer, {outer_from, outer_to}, [&](const auto& at) {
    const From* source = from + at[0];
    To* target = to + at[1];
    if (std::is_same_v<From, To> && from_step == 1 && to_step == 1) {
      std::memcpy(static_cast<void*>(target), source, static_cast<size_t>(n) * sizeof(To));
      return;
    }
    for (int64_t i = 0; i < n; ++i) target[i * to_step] = convert<To>(source[i * from_step]);
  });
}

}  // namespace

void copy_strided(const Dims& shape, const void* from, DType from_dtype, const Dims& from_strides,
                  void* to, DType to_dtype, const Dims& to_strides) {
  with_dtype(from_dtype, [&](auto source) {
    with_dtype(to_dtype, [&](auto target) {
      copy_elements(shape, static_cast<const decltype(source)*>(from), from_strides,
                    static_cast<decltype(target)*>(to), to_strides);
    });
  });
}

}  // namespace tutti
