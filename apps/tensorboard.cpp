#include "apps/tensorboard.h"

#include <array>
#include <chrono>
#include <fstream>

#include "engine/error.h"
#include "tensorboard.pb.h"

namespace etude::apps {

namespace {

// CRC-32C (Castagnoli, polynomial 0x1EDC6F41, reflected), rotated and offset as TFRecord wants.
std::uint32_t masked_crc(const std::string& bytes) {
  std::uint32_t crc = 0xffffffffu;
  for (const char c : bytes) {
    crc ^= static_cast<std::uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
  }
  crc = ~crc;
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

template <class T>
std::string little_endian(T value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    bytes += static_cast<char>(static_cast<std::uint64_t>(value) >> 8 * i);
  return bytes;
}

double now() {
  using namespace std::chrono;
  return duration<double>(system_clock::now().time_since_epoch()).count();
}

}  // namespace

bool tensorboard_available() { return true; }

EventFile::EventFile(const std::filesystem::path& folder) {
  const double time = now();
  for (int i = 0;; ++i) {
    path_ = folder / fmt::format("events.out.tfevents.{:.0f}.{}.etude", time, i);
    if (!std::filesystem::exists(path_)) break;
  }
  tensorboard::Event event;
  event.set_wall_time(time);
  event.set_file_version("brain.Event:2");
  append(event.SerializeAsString());
}

void EventFile::write(const EpochRecord& record) {
  tensorboard::Event event;
  event.set_wall_time(now());
  event.set_step(record.epoch);
  const auto add = [&](const char* tag, const std::optional<double>& value) {
    if (!value) return;
    tensorboard::Summary::Value& v = *event.mutable_summary()->add_value();
    v.set_tag(tag);
    v.set_simple_value(static_cast<float>(*value));
  };
  add("loss/train", record.loss);
  add("loss/val", record.val_loss);
  add("accuracy/train", record.accuracy);
  add("accuracy/val", record.val_accuracy);
  add("lr", record.lr);
  append(event.SerializeAsString());
}

void EventFile::append(const std::string& event) {
  const std::string length = little_endian<std::uint64_t>(event.size());
  std::ofstream file(path_, std::ios::binary | std::ios::app);
  file << length << little_endian(masked_crc(length)) << event << little_endian(masked_crc(event));
  file.flush();
  check(file.good(), "{}: cannot be written (is the disk full?)", path_.string());
}

}  // namespace etude::apps
