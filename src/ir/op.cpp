// SPDX-License-Identifier: Apache-2.0
#include "ir/op.h"

namespace tutti {

std::vector<TensorType> Op::infer(Types in) const {
  try {
    return self_->infer(in);
  } catch (const Error& error) {
    const std::string_view message = error.what();
    if (message.starts_with(name())) throw;
    throw Error(error.code(), join(name(), ": ", message));
  }
}

}  // namespace tutti
