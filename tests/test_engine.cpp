// Tensors, memory, devices, and what the ops say when they are used wrongly.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "engine/dispatch.h"
#include "engine/ops.h"
#include "tests/case_runner.h"

using namespace etude;
using doctest::Contains;

TEST_SUITE("engine") {
  TEST_CASE("shapes") {
    const Shape s{2, 3, 4};
    CHECK(s.rank() == 3);
    CHECK(s.size() == 24);
    CHECK(s[-1] == 4);
    CHECK(to_string(s) == "2x3x4");
    CHECK(Shape{}.size() == 1);
    CHECK(Shape{3, 0}.size() == 0);
    CHECK_FALSE(Shape{2, 3} == Shape{3, 2});
    CHECK_FALSE(Shape{2} == Shape{2, 1});
    CHECK_THROWS_AS(Shape({1, -1}), Error);
    CHECK_THROWS_AS(Shape({1, 1, 1, 1, 1, 1, 1}), Error);
  }

  TEST_CASE("numbers survive the way to every device and back") {
    const std::vector<float> values = {1, -2, 3.5F, 0, 1e-30F, 7};
    for (const Device device : available_devices()) {
      const Tensor x = Tensor::from(values, {2, 3}, device);
      CHECK(x.device() == device);
      CHECK(x.to_vector<float>() == values);
      CHECK(x.to(cpu_device).to(reference_device).to(device).to_vector<float>() == values);
      const Tensor copy = x.clone(), view = x.view({3, 2}), same = x;
      x.zero();
      CHECK(copy.to_vector<float>() == values);
      CHECK(view.to_vector<float>() == std::vector<float>(6));
      CHECK(same.to_vector<float>() == std::vector<float>(6));
      x.copy_from(copy);
      CHECK(view.to_vector<float>() == values);
      CHECK(Tensor::full({3}, 2.5, DType::f32, device).to_vector<float>() ==
            std::vector<float>(3, 2.5F));
      CHECK(Tensor::full({3}, 7, DType::i64, device).to_vector<std::int64_t>() ==
            std::vector<std::int64_t>(3, 7));
      CHECK(Tensor::full({3}, 200, DType::u8, device).to_vector<std::uint8_t>() ==
            std::vector<std::uint8_t>(3, 200));
    }
    const Tensor x = Tensor::from(values, {6}, reference_device);
    CHECK(x.to(DType::f64).to(DType::f32).to_vector<float>() == values);
    CHECK(Tensor::full({}, 3).item() == 3);
  }

  TEST_CASE("a borrowed tensor is the caller's memory, and leaves it alone when it goes") {
    const std::vector<float> values = {1, -2, 3, -4};
    const std::size_t before = memory_stats(cpu_device).current;
    {
      const Tensor x = Tensor::borrow(values.data(), {2, 2});
      CHECK(x.data<float>() == values.data());
      CHECK(x.device() == cpu_device);
      CHECK(memory_stats(cpu_device).current == before);
      CHECK(relu(x).to_vector<float>() == std::vector<float>{1, 0, 3, 0});
    }
    CHECK(values == std::vector<float>{1, -2, 3, -4});
  }

  TEST_CASE("empty tensors") {
    const Tensor x = Tensor::zeros({0, 3});
    CHECK(x.defined());
    CHECK(x.to_vector<float>().empty());
    CHECK(relu(x).shape() == Shape{0, 3});
    CHECK_FALSE(Tensor{}.defined());
  }

  TEST_CASE("misuse of tensors is an error that says what was found") {
    const Tensor x = Tensor::zeros({2, 3});
    CHECK_THROWS_WITH_AS(x.view({5}), Contains("2x3"), Error);
    CHECK_THROWS_WITH_AS(x.data<double>(), Contains("float32"), Error);
    CHECK_THROWS_WITH_AS(x.item(), Contains("2x3"), Error);
    CHECK_THROWS_WITH_AS(x.copy_from(Tensor::zeros({5})), Contains("5"), Error);
    CHECK_THROWS_AS(Tensor::from(std::vector<float>(5), {2, 3}), Error);
    CHECK_THROWS_AS(Tensor{}.data<float>(), Error);
    CHECK_THROWS_WITH_AS(relu(Tensor::zeros({2}, DType::f64)), Contains("reference"), Error);
    CHECK_THROWS_WITH_AS(relu(Tensor::zeros({2}, DType::i64)), Contains("int64"), Error);
  }
}

TEST_SUITE("engine") {
  constexpr std::size_t kib = 1024;

  TEST_CASE("a freed block is given again to a request it fits") {
    release_cached_memory(cpu_device);
    const std::size_t before = memory_stats(cpu_device).current;
    void* first = nullptr;
    {
      const Storage block(cpu_device, 100 * kib);
      first = block.data();
      CHECK(reinterpret_cast<std::uintptr_t>(first) % 64 == 0);
      CHECK(memory_stats(cpu_device).current >= before + 100 * kib);
    }
    CHECK(memory_stats(cpu_device).current == before);
    CHECK(memory_stats(cpu_device).cached >= 100 * kib);
    {
      const Storage same(cpu_device, 100 * kib);
      CHECK(same.data() == first);
      CHECK(memory_stats(cpu_device).cached == 0);
    }
    {
      const Storage smaller(cpu_device, 81 * kib);  // leaves less than a quarter over
      CHECK(smaller.data() == first);
      CHECK(memory_stats(cpu_device).current == before + 100 * kib);
    }
    {
      const Storage much_smaller(cpu_device, 60 * kib);  // would waste too much: a new block
      CHECK(memory_stats(cpu_device).current == before + 60 * kib);
    }
    {
      const Storage larger(cpu_device, 101 * kib);
      CHECK(memory_stats(cpu_device).current == before + 101 * kib);
    }
    release_cached_memory(cpu_device);
    CHECK(memory_stats(cpu_device).cached == 0);
  }

  TEST_CASE("a large block is cut for smaller ones and joined again") {
    constexpr std::size_t mib = 1024 * kib;
    release_cached_memory(cpu_device);
    const std::size_t before = memory_stats(cpu_device).current;
    const std::size_t kept = memory_stats(cpu_device).cached;  // parts of what is in use
    const auto address = [](const Storage& s) { return static_cast<const std::byte*>(s.data()); };
    const std::byte* whole = nullptr;
    {
      const Storage block(cpu_device, 64 * mib);
      whole = address(block);
    }
    {
      const auto first = std::make_unique<Storage>(cpu_device, 24 * mib);
      auto second = std::make_unique<Storage>(cpu_device, 16 * mib);
      const Storage small(cpu_device, 100 * kib);  // does not take a large one apart
      CHECK(address(*first) == whole);
      CHECK(address(*second) == whole + 24 * mib);
      CHECK((address(small) < whole || address(small) >= whole + 64 * mib));
      CHECK(memory_stats(cpu_device).current == before + 40 * mib + 100 * kib);
      CHECK(memory_stats(cpu_device).cached == kept + 24 * mib);
      release_cached_memory(cpu_device);  // a part of what is in use stays
      CHECK(memory_stats(cpu_device).cached == kept + 24 * mib);
      second.reset();
      const Storage rest(cpu_device, 40 * mib);  // its place and what lay behind it
      CHECK(address(rest) == whole + 24 * mib);
    }
    const auto again = std::make_unique<Storage>(cpu_device, 64 * mib);
    CHECK(address(*again) == whole);
    CHECK(memory_stats(cpu_device).current == before + 64 * mib);
  }

  TEST_CASE("the peak is the most in use at once since the last reset") {
    const std::size_t before = memory_stats(cpu_device).current;
    {
      const Storage a(cpu_device, 500 * kib);
      const Storage b(cpu_device, 300 * kib);
    }
    reset_peak_memory(cpu_device);
    CHECK(memory_stats(cpu_device).peak == before);
    { const Storage a(cpu_device, 200 * kib); }
    const Storage b(cpu_device, 100 * kib);
    CHECK(memory_stats(cpu_device).peak == before + 200 * kib);
    CHECK(memory_stats(cpu_device).current == before + 100 * kib);
  }

  TEST_CASE("the cache does not grow without bound when sizes keep changing") {
    release_cached_memory(cpu_device);
    std::size_t most = 0;
    for (std::size_t i = 1; i <= 200; ++i) {
      const Storage block(cpu_device, i * 300 * kib);
      const MemoryStats stats = memory_stats(cpu_device);
      most = std::max(most, stats.current + stats.cached);
    }
    // The largest block is 60 MB; all of them together would be 6 GB.
    CHECK(most < 200 * 300 * kib * 3 / 2 + memory_stats(cpu_device).current);
    release_cached_memory(cpu_device);
  }

  TEST_CASE("a device without memory is an error that says so") {
    CHECK_THROWS_WITH_AS(Storage(cpu_device, std::size_t{1} << 60), Contains("memory"), Error);
  }

  TEST_CASE("a workspace of no bytes is null") {
    CHECK(Workspace(cpu_device, 0).data() == nullptr);
    CHECK(Workspace(cpu_device, 1).data() != nullptr);
  }

  TEST_CASE("guarded memory shows writes outside a block and reads of what was never written") {
    for (const Device device : {cpu_device, reference_device}) {
      const GuardedMemory guard(device);
      {
        const Tensor x({3}, DType::f32, device);
        for (const float v : x.to_vector<float>()) CHECK(std::isnan(v));
        x.zero();
      }
      CHECK(guard.damaged_blocks() == 0);
      // Read and written back through volatile: the compiler must not see that it is outside.
      for (const Index outside : {Index{-1}, Index{3}}) {
        const Tensor x({3}, DType::f32, device);
        volatile float* data = x.data<float>();
        data[outside] = 1;
      }
      CHECK(guard.damaged_blocks() == 2);
    }
  }
}

TEST_SUITE("engine") {
  TEST_CASE("devices by name") {
    for (const Device device : available_devices())
      CHECK(parse_device(to_string(device)) == device);
    CHECK(parse_device("auto") == available_devices().front());
    CHECK_THROWS_WITH_AS(parse_device("gpu"), Contains("'gpu'"), Error);
    CHECK_THROWS_AS(parse_device("cuda:x"), Error);
    CHECK_THROWS_AS(parse_device("cuda:-1"), Error);
    CHECK_THROWS_AS(parse_device("cuda:1000"), Error);
    CHECK_THROWS_AS(parse_device(""), Error);
  }

  TEST_CASE("instruction sets") {
    const std::vector<std::string> isas = available_isas();
    REQUIRE_FALSE(isas.empty());
    CHECK(isas.back() == "baseline");
    const std::string before = chosen_isa();
    for (const std::string& isa : isas) {
      choose_isa(isa);
      CHECK(chosen_isa() == isa);
      CHECK(std::string(kernels_for<float>(cpu_device).name) == "cpu_" + isa);
    }
    CHECK_THROWS_WITH_AS(choose_isa("sse9"), Contains("sse9"), Error);
    choose_isa(before);
    CHECK(std::string(kernels_for<double>(reference_device).name) == "reference_f64");
    CHECK_THROWS_AS(kernels_for<double>(cpu_device), Error);
  }

  TEST_CASE("threads") {
    const test::UseThreads three(3);
    CHECK(num_threads() == 3);
    CHECK_THROWS_AS(set_num_threads(0), Error);
  }

  // The lines of kernels.def that no op stands for.
  TEST_CASE("memory and streams of every back end") {
    for (const test::Target& target : test::targets()) {
      INFO(target.name);
      const test::UseTarget use(target);
      const Kernels<float>& k = kernels_for<float>(target.device);
      REQUIRE(k.device_count() >= 1);
      k.device_select(target.device.index);
      const Stream a = k.stream_create(), b = k.stream_create();
      const Event done = k.event_create();
      constexpr std::size_t n = 1000;
      auto* host = static_cast<float*>(k.host_alloc(2 * n * sizeof(float)));
      auto* device = static_cast<float*>(k.memory_alloc(n * sizeof(float)));
      auto* second = static_cast<float*>(k.memory_alloc(n * sizeof(float)));
      REQUIRE(host != nullptr);
      REQUIRE(device != nullptr);
      CHECK(reinterpret_cast<std::uintptr_t>(device) % 64 == 0);
      for (std::size_t i = 0; i < n; ++i) host[i] = static_cast<float>(i);
      k.memory_copy(a, device, host, n * sizeof(float), CopyKind::host_to_device);
      k.memory_copy(a, second, device, n * sizeof(float), CopyKind::device_to_device);
      k.memory_zero(a, second, n / 2 * sizeof(float));
      k.event_record(done, a);
      k.event_wait(b, done);
      k.memory_copy(b, host + n, second, n * sizeof(float), CopyKind::device_to_host);
      k.stream_synchronize(b);
      for (std::size_t i = 0; i < n; ++i) {
        const float expected = i < n / 2 ? 0 : static_cast<float>(i);
        REQUIRE(host[n + i] == expected);
      }
      k.memory_free(device);
      k.memory_free(second);
      k.host_free(host);
      k.event_destroy(done);
      k.stream_destroy(a);
      k.stream_destroy(b);
    }
  }
}

TEST_SUITE("engine") {
  // Each message begins with the op's name and says both what was expected and what was found.
  TEST_CASE("ops refuse inputs that do not fit, and say why") {
    const auto t = [](std::initializer_list<Index> dims) { return Tensor::zeros(Shape(dims)); };
    const auto labels = [](std::vector<std::int64_t> values) {
      return Tensor::from(values, {static_cast<Index>(values.size())});
    };
    const Tensor c10 = t({10}), c9 = t({9});
    struct Misuse {
      std::function<void()> call;
      std::vector<const char*> says;
    };
    const Misuse misuses[] = {
        {[&] {
           conv2d(t({1, 8, 8, 10}), t({4, 3, 3, 16}));
         },
         {"conv2d:", "16", "10"}},
        {[&] {
           conv2d(t({8, 8, 10}), t({4, 3, 3, 10}));
         },
         {"conv2d:", "8x8x10"}},
        {[&] {
           conv2d(t({1, 8, 8, 3}), t({4, 27}));
         },
         {"conv2d:", "4x27"}},
        {[&] {
           conv2d(t({1, 8, 8, 3}), t({4, 3, 3, 3}), t({5}));
         },
         {"conv2d:", "4", "5"}},
        {[&] {
           conv2d(t({1, 2, 2, 3}), t({4, 3, 3, 3}));
         },
         {"conv2d:", "1x2x2x3", "4x3x3x3"}},
        {[&] {
           conv2d(t({1, 8, 8, 3}), t({4, 3, 3, 3}), {}, {.stride_h = 0});
         },
         {"conv2d:", "stride"}},
        {[&] {
           conv2d(t({1, 8, 8, 3}), t({4, 3, 3, 3}).to(reference_device));
         },
         {"conv2d:", "cpu", "reference"}},
        {[&] {
           linear(t({2, 5}), t({3, 6}));
         },
         {"linear:", "6", "5"}},
        {[&] {
           linear(t({2, 5, 1}), t({3, 5}));
         },
         {"linear:", "2x5x1"}},
        {[&] {
           linear(t({2, 5}), t({3, 5}), t({5}));
         },
         {"linear:", "3", "5"}},
        {[&] {
           batch_norm(t({2, 4, 4, 10}), c9, c10, c10, c10);
         },
         {"batch_norm:", "10", "9"}},
        {[&] {
           batch_norm(t({1, 1, 1, 10}), c10, c10, c10, c10);
         },
         {"batch_norm:", "1x1x1x10", "more than one"}},
        {[&] {
           batch_norm(t({2, 4, 4, 10}), c10, c10, c10, c10, {}, t({2, 4, 10}));
         },
         {"batch_norm:", "2x4x10", "2x4x4x10"}},
        {[&] {
           add(t({2, 3}), t({3, 2}));
         },
         {"add:", "2x3", "3x2"}},
        {[&] {
           mul(t({2, 3}), t({3, 2}));
         },
         {"mul:", "2x3", "3x2"}},
        {[&] {
           max_pool2d(t({1, 1, 1, 3}), {});
         },
         {"max_pool2d:", "1x1x1x3", "2x2"}},
        {[&] {
           max_pool2d(t({1, 8, 8, 3}), {.r = 2, .s = 2, .pad_h = 2});
         },
         {"max_pool2d:", "padding"}},
        {[&] {
           max_pool2d(t({1, 32, 32, 3}), {.r = 16, .s = 16});
         },
         {"max_pool2d:", "255"}},
        {[&] {
           avg_pool2d(t({8, 8, 3}), {});
         },
         {"avg_pool2d:", "8x8x3"}},
        {[&] {
           adaptive_avg_pool2d(t({1, 8, 8, 3}), 0, 1);
         },
         {"adaptive_avg_pool2d:", "0"}},
        {[&] {
           reshape(t({2, 3}), {5});
         },
         {"reshape:", "2x3", "5"}},
        {[&] {
           mean_std(t({2, 3}));
         },
         {"mean_std:", "2x3"}},
        {[&] { softmax(t({3})); }, {"softmax:", "3"}},
        {[&] {
           cross_entropy(t({2, 5}), labels({1}));
         },
         {"cross_entropy:", "2", "1"}},
        {[&] {
           cross_entropy(t({2, 5}), labels({1, 5}));
         },
         {"cross_entropy:", "label 5", "4"}},
        {[&] {
           cross_entropy(t({2, 5}), labels({-1, 0}));
         },
         {"cross_entropy:", "label -1"}},
        {[&] {
           cross_entropy(t({2, 5}), t({2}));
         },
         {"cross_entropy:", "int64", "float32"}},
        {[&] {
           cross_entropy(t({2, 5}), labels({0, 0}), {1, {}});
         },
         {"cross_entropy:", "smoothing"}},
        {[&] {
           cross_entropy(t({2, 5}), labels({0, 0}), {0, t({4})});
         },
         {"cross_entropy:", "4", "5"}},
        {[&] {
           mse_loss(t({2, 3}), t({3, 2}));
         },
         {"mse_loss:", "2x3", "3x2"}},
    };
    for (const Misuse& misuse : misuses) {
      std::string message;
      try {
        misuse.call();
      } catch (const Error& error) {
        message = error.what();
      }
      INFO("message: '" << message << "'");
      CHECK(message.starts_with(misuse.says[0]));
      for (const char* part : misuse.says) CHECK(message.find(part) != std::string::npos);
      CHECK(message.find('\n') == std::string::npos);
    }
  }

  TEST_CASE("padding that leaves an output of negative size is refused, not computed") {
    // 1 - dilated filter is negative here, and integer division rounds towards zero.
    CHECK_THROWS_AS(conv2d(Tensor::zeros({1, 1, 1, 1}), Tensor::zeros({1, 2, 2, 1}), {},
                           {.stride_h = 3, .stride_w = 3}),
                    Error);
  }
}
