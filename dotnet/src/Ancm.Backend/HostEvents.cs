using System;
using System.Collections.Generic;
using System.Diagnostics;

namespace Ancm.Backend;

/// <summary>
/// Listens to the events of <c>Microsoft.Extensions.Hosting</c>, which every builder but the legacy
/// one raises, also those that load no hosting startups.
/// </summary>
internal sealed class HostEvents : IObserver<DiagnosticListener>, IObserver<KeyValuePair<string, object?>>
{
    private HostEvents()
    {
    }

    internal static void Subscribe(string? address)
    {
        Placement.Address = address;
        DiagnosticListener.AllListeners.Subscribe(new HostEvents());
    }

    public void OnNext(DiagnosticListener listener)
    {
        if (listener.Name == "Microsoft.Extensions.Hosting")
        {
            listener.Subscribe(this);
        }
    }

    public void OnNext(KeyValuePair<string, object?> occurrence)
    {
        switch (occurrence.Key)
        {
            case "HostBuilding" when occurrence.Value is { } builder:
                Placement.HostBuilding(builder);
                break;
            case "HostBuilt":
                Variables.HostIsBuilt();
                break;
        }
    }

    public void OnCompleted()
    {
    }

    public void OnError(Exception error)
    {
    }
}
