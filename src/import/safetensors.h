// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/mapped_file.h"
#include "import/json.h"
#include "import/named_tensor.h"
#include "import/weight_source.h"

namespace tutti {

/// A .safetensors file: 8 bytes of header length, a JSON header, tensors one after the other.
///
/// Tensors lie in the mapping, except where a file has them at addresses not aligned to their
/// elements. Element types that tutti lacks are refused when such a tensor is asked for.
class SafetensorsFile : public WeightSource {
 public:
  /// Throws corrupt when the header or an offset contradicts the format or the file.
  explicit SafetensorsFile(std::shared_ptr<const MappedFile> file);

  const std::string& path() const override { return file_->path(); }
  std::vector<std::string> names() const override;
  std::optional<Tensor> find(std::string_view name) const override;

  /// The texts under "__metadata__".
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  struct Entry {
    std::string_view name;
    std::string_view dtype;
    std::vector<int64_t> shape;
    std::span<const std::byte> bytes;
    Json json;
  };
  void read_entry(std::string_view name, const Json& json, std::span<const std::byte> data);
  void check_size(const Entry& entry) const;
  void check_overlap() const;

  std::shared_ptr<const MappedFile> file_;
  std::unique_ptr<const JsonDocument> header_;
  std::map<std::string, std::string> metadata_;
  std::vector<Entry> entries_;  // sorted by name
};

/// Writes the tensors, larger elements first and sorted by name among equals, as the format's own
/// library does, so that each is aligned; the data begins at a multiple of 8 bytes.
///
/// Throws invalid_argument when a name occurs twice or is "__metadata__".
void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace tutti
