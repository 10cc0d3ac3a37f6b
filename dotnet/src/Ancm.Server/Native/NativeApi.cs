using System;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Ancm.Server.Native;

/// <summary>
/// The boundary: the only file that calls through function pointers or is called by native code.
/// Everything that arrives here is one call into the server inside one try, because an exception
/// that leaves such a method ends the process.
/// </summary>
internal static unsafe class NativeApi
{
    private static readonly NativeBridge* s_bridge = FindBridge();
    private static readonly NativeHost* s_host = s_bridge is null ? null : s_bridge->Host;
    private static HostServer? s_server;

    /// <summary>False when the assembly was loaded by somebody else than our handler.</summary>
    internal static bool IsPresent => s_host is not null;

    /// <summary>Whether the worker tells when no request will follow; since version 1.4.</summary>
    internal static bool TellsQuiet => s_host->Minor >= 4;

    /// <summary>A start parameter, or null.</summary>
    internal static string? Property(string name)
    {
        var bytes = Encoding.UTF8.GetBytes(name);
        fixed (byte* first = bytes)
        {
            var value = s_host->Property(s_host->Context, new NativeStr { Ptr = first, Len = (nuint)bytes.Length });
            return value.Ptr is null ? null : Encoding.UTF8.GetString(value.AsSpan());
        }
    }

    /// <summary>Reports a step of the app's life, one of <see cref="LifeEvent"/>.</summary>
    internal static void Life(uint kind, int code = 0, string text = "")
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        fixed (byte* first = bytes)
        {
            s_bridge->Life(kind, code, new NativeStr { Ptr = first, Len = (nuint)bytes.Length });
        }
    }

    /// <summary>Hands our entry points to the handler library. Requests arrive from now on.</summary>
    internal static void Attach(HostServer server)
    {
        s_server = server;
        var result = s_bridge->Attach(&Dispatch, &Signal, &Stop);
        if (result != 0)
        {
            throw new InvalidOperationException($"The host refused the server (code {result}).");
        }
    }

    internal static void Notify(NativeExchange* exchange) => s_host->Notify(exchange);

    internal static NativeBlock* Grow(NativeExchange* exchange, int min)
    {
        var block = s_host->Grow(exchange, (uint)min);
        return block is not null ? block : throw new OutOfMemoryException("The host has no memory for the response body.");
    }

    internal static byte* GrowHead(NativeExchange* exchange, int min)
    {
        var head = s_host->GrowHead(exchange, (uint)min);
        return head is not null ? head : throw new OutOfMemoryException("The host has no memory for the response head.");
    }

    /// <summary>A count above 0, or one of <see cref="ReadResult"/>.</summary>
    internal static long Read(NativeExchange* exchange, ulong id, Span<byte> into)
    {
        // The host copies and returns; it keeps no pointer, so the pin need not outlive the call.
        fixed (byte* first = into)
        {
            return s_host->Read(exchange, id, first, (uint)into.Length);
        }
    }

    [UnmanagedCallersOnly(CallConvs = new[] { typeof(CallConvCdecl) })]
    private static uint Dispatch(NativeExchange* exchange)
    {
        try
        {
            return s_server!.Dispatch(exchange);
        }
        catch (Exception error)
        {
            s_server!.ReportBug(nameof(Dispatch), error);
            exchange->Publish(ProgressFlags.Abort | ProgressFlags.Ended | ProgressFlags.Released);
            return DispatchOutcome.Done;
        }
    }

    [UnmanagedCallersOnly(CallConvs = new[] { typeof(CallConvCdecl) })]
    private static void Signal(NativeExchange* exchange, ulong id, uint events)
    {
        try
        {
            s_server!.Signal(id, events);
        }
        catch (Exception error)
        {
            s_server!.ReportBug(nameof(Signal), error);
        }
    }

    [UnmanagedCallersOnly(CallConvs = new[] { typeof(CallConvCdecl) })]
    private static void Stop(uint deadlineMs)
    {
        try
        {
            s_server!.RequestStop();
        }
        catch (Exception error)
        {
            s_server!.ReportBug(nameof(Stop), error);
        }
    }

    private static NativeBridge* FindBridge()
    {
        var address = AppContext.GetData("ANCM_HOST") as string;
        return nuint.TryParse(address, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var value)
            ? (NativeBridge*)value
            : null;
    }

    /// <summary>Layout of <c>bridge.rs</c>, which ships in the same package.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct NativeBridge
    {
        public uint Size;
        public uint Version;
        public NativeHost* Host;
        public delegate* unmanaged[Cdecl]<
            delegate* unmanaged[Cdecl]<NativeExchange*, uint>,
            delegate* unmanaged[Cdecl]<NativeExchange*, ulong, uint, void>,
            delegate* unmanaged[Cdecl]<uint, void>,
            int> Attach;
        public delegate* unmanaged[Cdecl]<uint, int, NativeStr, void> Life;
        public delegate* unmanaged[Cdecl]<uint> IsReady;
    }
}
