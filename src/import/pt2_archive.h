// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "import/json.h"
#include "import/mapped_tensor.h"
#include "import/weight_source.h"
#include "import/zip.h"

namespace tutti {

/// A tensor in a .pt2 archive: a view of one payload, which several tensors may share.
struct StoredTensor {
  std::string_view name;               ///< fully qualified: "layers.0.attn.weight"
  std::string_view path_name;          ///< of the payload: "weight_0"
  StorageView view;                    ///< in `storage`; complex numbers as a last dimension of 2
  std::span<const std::byte> storage;  ///< the payload in the mapping; empty for meta
  bool is_meta = false;                ///< only its type is known
  bool is_param = false;
};

/// A .pt2 file as torch.export.save of PyTorch 2.9 and later writes it.
///
/// Opening checks every tensor's type, strides and bounds against its payload, and reads no
/// payload. As a WeightSource it holds the parameters, buffers and constants that have bytes.
class Pt2Archive : public WeightSource {
 public:
  /// `model` chooses among several programs in one file; the only one, else "model", when empty.
  ///
  /// Throws corrupt when the archive contradicts the format; unsupported for the layouts of earlier
  /// versions, big-endian files and pickled tensors; not_found when there is no such model.
  explicit Pt2Archive(std::shared_ptr<const MappedFile> file, std::string_view model = "");

  const std::string& path() const override { return zip_.file()->path(); }
  std::vector<std::string> names() const override;
  std::optional<Tensor> find(std::string_view name) const override;

  /// Which program of the archive this is, as a rule "model".
  const std::string& model() const { return model_; }

  /// The JSON text of the program, and what messages call it.
  std::span<const std::byte> program() const;
  std::string program_name() const;

  /// Parameters, buffers and constants, meta ones too, sorted by name.
  std::span<const StoredTensor> tensors() const { return tensors_; }
  /// The tensor of that name, or null.
  const StoredTensor* find_stored(std::string_view name) const;

  /// A file that the exporting program added under `extra/`, if there is one of that name.
  std::optional<std::span<const std::byte>> extra(std::string_view name) const;

 private:
  const ZipEntry* find_entry(std::string_view path) const;
  std::string_view text(std::string_view path) const;
  void check_kind() const;
  void check_header() const;
  void choose_model(std::string_view model);
  void check_layout() const;
  [[noreturn]] void refuse_old(std::string_view layout, const ZipEntry& program) const;
  void read_config(std::string_view folder, std::string_view suffix);
  StoredTensor read_tensor(std::string_view folder, std::string_view name, const Json& json) const;
  void read_payload(std::string_view folder, const Json& json, StoredTensor& tensor) const;
  void sort_tensors();

  ZipArchive zip_;
  std::string root_;  // "name/"
  std::string model_;
  std::vector<std::unique_ptr<const JsonDocument>> configs_;  // names point into these
  std::vector<StoredTensor> tensors_;
};

}  // namespace tutti
