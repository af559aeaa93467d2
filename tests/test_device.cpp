// Devices beyond the host: names and reasons, streams and events, pinned memory, copies beside the
// work. All through the kernel table, on every back end that can run here.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <string_view>
#include <thread>

#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/transfer.h"
#include "tests/case_runner.h"

// As the CUDA back end includes it.
#define ETUDE_BACKEND test
#include "kernels/cuda/architectures.h"
#undef ETUDE_BACKEND

using namespace etude;
using doctest::Contains;

namespace {

std::vector<Device> devices() {
  std::vector<Device> result;
  for (const test::Target& target : test::targets())
    if (result.empty() || result.back() != target.device) result.push_back(target.device);
  return result;
}

std::vector<float> ramp(std::size_t n, float first) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = first + static_cast<float>(i);
  return values;
}

Tensor host_ramp(Device device, Index n, float first) {
  Tensor host = Tensor::host_for(device, {n});
  const std::vector<float> values = ramp(static_cast<std::size_t>(n), first);
  std::memcpy(host.data<float>(), values.data(), host.bytes());
  return host;
}

}  // namespace

TEST_SUITE("device") {
  TEST_CASE("auto is the best device and never the emulator") {
    const Device best = parse_device("auto");
    CHECK(best == available_devices().front());
    CHECK((best.kind == DeviceKind::cuda || best.kind == DeviceKind::cpu));
  }

  TEST_CASE("what can be used has a name, what cannot a reason") {
    for (const Device device : available_devices()) {
      INFO(to_string(device));
      CHECK(device_problem(device).empty());
      CHECK_FALSE(describe(device).empty());
    }
    for (const Device device : {Device{DeviceKind::cuda, 900}, Device{DeviceKind::cpu, 3},
                                Device{DeviceKind::simt, 1}}) {
      INFO(to_string(device));
      const std::string problem = device_problem(device);
      CHECK_FALSE(problem.empty());
      CHECK(problem.find('\n') == std::string::npos);
    }
    CHECK_THROWS_WITH_AS(parse_device("cuda:900"), Contains("cuda:900"), Error);
    CHECK_THROWS_WITH_AS(kernels_for<float>({DeviceKind::cuda, 900}), Contains("cuda:900"), Error);
  }

  TEST_CASE("which GPUs a list of architectures serves") {
    using etude::test::has_code_for;
    constexpr std::string_view built = "75-real 80-real 86-real 89-real 90-real 100-real 120";
    static_assert(has_code_for(75, built) && has_code_for(80, built) && has_code_for(90, built));
    static_assert(has_code_for(87, built));   // 8.6's code runs on 8.7
    static_assert(has_code_for(103, built));  // and 10.0's on 10.3
    static_assert(has_code_for(120, built) && has_code_for(121, built));
    static_assert(has_code_for(130, built));  // by the PTX of 12.0
    static_assert(!has_code_for(70, built) && !has_code_for(61, built));
    static_assert(!has_code_for(110, built));  // between 10.x and the PTX of 12.0
    static_assert(has_code_for(90, "90a-real") && !has_code_for(100, "90a") &&
                  !has_code_for(89, "90a-real"));
    static_assert(!has_code_for(120, "75-real") && has_code_for(120, "75") &&
                  has_code_for(86, "80-virtual") && !has_code_for(75, "80-virtual"));
    static_assert(!has_code_for(80, "") && has_code_for(52, "52"));
    CHECK(has_code_for(86, built));
  }

  TEST_CASE("a stream is made once, and the copy stream is another") {
    for (const Device device : devices()) {
      INFO(to_string(device));
      CHECK(current_stream(device).handle == current_stream(device).handle);
      if (!shares_host_memory(device)) {
        CHECK(current_stream(device).handle != nullptr);
        CHECK(copy_stream(device).handle != current_stream(device).handle);
      }
    }
  }

  TEST_CASE("events tell the time between them") {
    for (const Device device : devices()) {
      INFO(to_string(device));
      const Kernels<float>& k = kernels_for<float>(device);
      const Stream stream = current_stream(device);
      const Event start = k.event_create(), end = k.event_create();
      k.event_record(start, stream);
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
      k.event_record(end, stream);
      k.event_synchronize(end);
      const double milliseconds = k.event_elapsed(start, end);
      CHECK(milliseconds >= 2);
      CHECK(milliseconds < 5000);
      k.event_destroy(start);
      k.event_destroy(end);
    }
  }
}

TEST_SUITE("device") {
  TEST_CASE("host memory for a device is the host's, cached, and not the device's") {
    for (const Device device : devices()) {
      INFO(to_string(device));
      release_cached_memory(device);
      const std::size_t before = memory_stats(device).current;
      void* first = nullptr;
      {
        const Tensor host = Tensor::host_for(device, {1000});
        CHECK(host.device() == cpu_device);
        host.data<float>()[999] = 7;  // the host may touch it
        first = host.raw();
        if (!shares_host_memory(device)) {
          CHECK(memory_stats(device).current == before);
          CHECK(host_memory_stats(device).current >= 4000);
        }
      }
      const Tensor again = Tensor::host_for(device, {1000});
      CHECK(again.raw() == first);
      CHECK_THROWS_WITH_AS(Storage(Storage::HostFor{device}, std::size_t{1} << 60),
                           Contains("memory"), Error);
      CHECK_THROWS_WITH_AS(Storage(device, std::size_t{1} << 60), Contains("memory"), Error);
      // The failure is over: the device goes on.
      CHECK(Tensor::zeros({10}, DType::f32, device).to_vector<float>() == std::vector<float>(10));
    }
  }

  TEST_CASE("uploads arrive, in any order, from any thread, used or not") {
    for (const Device device : devices()) {
      INFO(to_string(device));
      constexpr Index n = 3000;
      Upload first(host_ramp(device, n, 0), device), second;
      std::thread([&] { second = Upload(host_ramp(device, n, 5000), device); }).join();
      { const Upload unused(host_ramp(device, n, 9000), device); }
      const Tensor b = second.tensor(), a = first.tensor();
      CHECK(a.device() == device);
      CHECK(a.to_vector<float>() == ramp(n, 0));
      CHECK(b.to_vector<float>() == ramp(n, 5000));
      if (shares_host_memory(device) && device == cpu_device)
        CHECK(Upload(a, device).tensor().raw() == a.raw());  // nothing is copied
      CHECK_FALSE(Upload(Tensor{}, device).tensor().defined());
    }
  }

  TEST_CASE("an upload into a block that was just freed does not disturb the work on it") {
    for (const Device device : devices()) {
      INFO(to_string(device));
      constexpr Index n = 5000;
      Tensor out = Tensor::zeros({n}, DType::f32, device);
      std::vector<Upload> ahead;
      for (int step = 0; step < 6; ++step) {
        const auto first = static_cast<float>(step);
        Upload upload(host_ramp(device, n, first), device);
        Tensor x = upload.tensor();
        out.copy_from(x);
        x = {};
        upload = {};
        ahead.emplace_back(host_ramp(device, n, -1), device);  // probably the same block
        CHECK(out.to_vector<float>() == ramp(n, first));
      }
    }
  }

  TEST_CASE("downloads hold the numbers as they were") {
    for (const Device device : devices()) {
      INFO(to_string(device));
      const Tensor x = Tensor::from(ramp(100, 3), {100}, device);
      const Download taken(x);
      x.zero();
      CHECK(taken.get<float>() == ramp(100, 3));
      Download scalar(Tensor::from(std::vector<float>{2.5F}, {}, device));
      const Download moved = std::move(scalar);
      CHECK(moved.item() == 2.5);
    }
  }

  TEST_CASE("tensors move between all devices, and ops name a tensor on the wrong one") {
    for (const Device from : available_devices())
      for (const Device to : available_devices()) {
        INFO(to_string(from) << " to " << to_string(to));
        const Tensor x = Tensor::from(ramp(7, 1), {7}, from);
        CHECK(x.to(to).to_vector<float>() == ramp(7, 1));
        if (from != to)
          CHECK_THROWS_WITH_AS(add(x, x.to(to)), Contains(to_string(to).c_str()), Error);
      }
  }
}
