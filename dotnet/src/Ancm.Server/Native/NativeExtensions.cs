using System;
using System.Runtime.CompilerServices;
using System.Threading;

namespace Ancm.Server.Native;

/// <summary>What the rest of the server does with native memory, in one place.</summary>
internal static unsafe class NativeExtensions
{
    /// <summary>The bytes, where they are. Valid until the exchange is released.</summary>
    internal static ReadOnlySpan<byte> AsSpan(this in NativeStr text) => new(text.Ptr, (int)text.Len);

    /// <summary>
    /// Adds progress and tells the lane. Bytes and head were stored before; the locked operations
    /// order them. While the request runs inside dispatch the signal is 1 and nobody is called.
    /// </summary>
    internal static void Publish(this ref NativeExchange exchange, uint progress)
    {
        Interlocked.Or(ref exchange.Progress, progress);
        exchange.Wake();
    }

    /// <summary>Tells the lane to look. A word too many does no harm, even to a later request.</summary>
    internal static void Wake(this ref NativeExchange exchange)
    {
        if (Interlocked.Exchange(ref exchange.Signal, 1) == 0)
        {
            NativeApi.Notify((NativeExchange*)Unsafe.AsPointer(ref exchange));
        }
    }

    /// <summary>Whether the host is of version 1.1 of the contract, or later.</summary>
    internal static bool HasTrailers(this ref NativeExchange exchange) => Reaches(ref exchange, ref exchange.BodyRate);

    /// <summary>Whether the host is of version 1.2 of the contract, or later.</summary>
    internal static bool HasRates(this ref NativeExchange exchange)
        => Reaches(ref exchange, ref exchange.ClientCertificate);

    /// <summary>Whether the host knows the client's certificate; it is of version 1.3 or later then.</summary>
    internal static bool HasCertificate(this ref NativeExchange exchange)
        => exchange.Size >= sizeof(NativeExchange) && exchange.ClientCertificate.Len > 0;

    /// <summary>Slot of an exchange: dense from 0, stable while its memory is reused.</summary>
    internal static int SlotOf(ulong id) => (int)(uint)id;

    private static bool Reaches<T>(ref NativeExchange exchange, ref T field)
        => exchange.Size >= Unsafe.ByteOffset(ref Unsafe.As<NativeExchange, byte>(ref exchange), ref Unsafe.As<T, byte>(ref field));
}
