// SPDX-License-Identifier: Apache-2.0
// In place of dnnl_conv.cpp in a build without oneDNN.
#include "core/error.h"
#include "device/cpu/dnnl_conv.h"

namespace tutti::cpu {

struct DnnlConv::State {};

DnnlConv::DnnlConv(std::unique_ptr<State> state) : state_(std::move(state)) {}
DnnlConv::~DnnlConv() = default;
DnnlConv::DnnlConv(DnnlConv&&) noexcept = default;
DnnlConv& DnnlConv::operator=(DnnlConv&&) noexcept = default;

std::optional<DnnlConv> DnnlConv::prepare(const ConvProblem&, int) { return std::nullopt; }

size_t DnnlConv::workspace_bytes() const { return 0; }

void DnnlConv::run(const ConvArgs&, void*, Pool&) {
  fail(Errc::unsupported, "this build has no oneDNN: configure with TUTTI_ONEDNN=ON");
}

}  // namespace tutti::cpu
