using System;
using System.Buffers;

namespace Ancm.Server;

/// <summary>
/// Presents native bytes as <see cref="Memory{T}"/>. The garbage collector does not move them, so
/// pinning is nothing. Once the bytes belong to somebody else, it refuses whoever has kept it.
/// </summary>
internal sealed unsafe class BlockMemory : MemoryManager<byte>
{
    private byte* _data;
    private int _length;

    /// <summary>A view of these bytes; reuses the object when it already shows them.</summary>
    internal static Memory<byte> View(ref BlockMemory? cached, byte* data, int length)
    {
        // Never re-aimed: somebody may still hold a Memory of the old bytes.
        cached ??= new BlockMemory { _data = data, _length = length };
        return cached.Memory;
    }

    /// <summary>The bytes are no longer the application's to write to.</summary>
    internal static void Retire(ref BlockMemory? cached)
    {
        if (cached is not null)
        {
            cached._data = null;
            cached = null;
        }
    }

    public override Span<byte> GetSpan() => new(Data(), _length);

    public override MemoryHandle Pin(int elementIndex = 0) => new(Data() + elementIndex);

    public override void Unpin()
    {
    }

    protected override void Dispose(bool disposing)
    {
    }

    private byte* Data()
    {
        var data = _data;
        return data is not null
            ? data
            : throw new ObjectDisposedException("The response has taken this memory: what GetMemory returns may be written to until the next call of Advance, FlushAsync or GetMemory.");
    }
}
