// Curves for TensorBoard: an event file in the run folder that grows by a record an epoch.
//
// Format: TFRecord framing (length, masked CRC-32C, protobuf Event, masked CRC-32C).
// https://www.tensorflow.org/tutorials/load_data/tfrecord
#pragma once

#include <filesystem>

#include "apps/run_folder.h"

namespace etude::apps {

// Whether this build can (protobuf was found).
bool tensorboard_available();

class EventFile {
 public:
  // Begins a new file events.out.tfevents.SECONDS.N.etude in the folder: a resumed run adds one,
  // which TensorBoard joins to what was there by the epochs' numbers.
  explicit EventFile(const std::filesystem::path& folder);
  // loss/train, loss/val, accuracy/train, accuracy/val, lr at step `epoch`. Error when the disk
  // is full.
  void write(const EpochRecord& record);

 private:
  void append(const std::string& event);
  std::filesystem::path path_;
};

}  // namespace etude::apps
