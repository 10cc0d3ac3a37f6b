using System;
using System.Buffers;

namespace Ancm.Server;

/// <summary>
/// Presents native bytes as <see cref="Memory{T}"/>. The garbage collector does not move them, so
/// pinning is nothing. They stay mapped for the life of the worker.
/// </summary>
internal sealed unsafe class BlockMemory : MemoryManager<byte>
{
    private byte* _data;
    private int _length;

    /// <summary>A view of these bytes; reuses the object when it already shows them.</summary>
    internal static Memory<byte> View(ref BlockMemory? cached, byte* data, int length)
    {
        if (cached is null || cached._data != data || cached._length != length)
        {
            // Never re-aimed: somebody may still hold a Memory of the old bytes.
            cached = new BlockMemory { _data = data, _length = length };
        }

        return cached.Memory;
    }

    public override Span<byte> GetSpan() => new(_data, _length);

    public override MemoryHandle Pin(int elementIndex = 0) => new(_data + elementIndex);

    public override void Unpin()
    {
    }

    protected override void Dispose(bool disposing)
    {
    }
}
