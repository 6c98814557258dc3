// SPDX-License-Identifier: Apache-2.0
// In place of dnnl_matmul.cpp in a build without oneDNN.
#include "core/error.h"
#include "device/cpu/dnnl_matmul.h"

namespace tutti::cpu {

struct DnnlMatmul::State {};

DnnlMatmul::DnnlMatmul(std::unique_ptr<State> state) : state_(std::move(state)) {}
DnnlMatmul::~DnnlMatmul() = default;
DnnlMatmul::DnnlMatmul(DnnlMatmul&&) noexcept = default;
DnnlMatmul& DnnlMatmul::operator=(DnnlMatmul&&) noexcept = default;

std::string dnnl_version_text() { return {}; }

bool dnnl_reads_packed(Isa, int64_t, const std::vector<int64_t>&) { return false; }

std::optional<DnnlMatmul> DnnlMatmul::prepare(const GemmProblem&, int, Isa) { return std::nullopt; }

size_t DnnlMatmul::workspace_bytes() const { return 0; }

void DnnlMatmul::run(const GemmArgs&, void*, Pool&) {
  fail(Errc::unsupported, "this build has no oneDNN: configure with TUTTI_ONEDNN=ON");
}

}  // namespace tutti::cpu
